"""Batches of logged slates joined with a target policy, as slate estimators read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from recsys.errors import RequestError
from recsys.replay.batch import OptionalParts

Side = Literal["logging", "target"]
"""The logging policy or the target policy."""


@dataclass(frozen=True)
class SlateBatch(OptionalParts):
    """`n` requests with slates `s` of up to `S` slots, joined with a target policy; float64, empty slots last.

    The parts `logging_…` and `target_…` are the probabilities of the same event under the logging policy, in (0, 1],
    and under the target policy, in [0, 1]. Each may be missing; an estimator names the part that it misses. Empty slots
    have reward 0 and probability 1: the number of filled slots belongs to the request, not to the policy.

    Args:
        items: `[n, S]`, item indices; −1 in empty slots.
        reward: `[n, S]`, `r_k`; a log with one reward a slate has it in slot 0.
        logging: `[n]`, probability of the whole slate; the product of `logging_prefix` where missing.
        target: `[n]`.
        logging_prefix: `[n, S]`, probability of each slot's item given the slots before it.
        target_prefix: `[n, S]`.
        logging_slot: `[n, S]`, probability of each slot's item at its slot, whatever else is in the slate; the diagonal
            of `logging_at` where missing.
        target_slot: `[n, S]`.
        logging_at: `[n, S, S]`; at `(i, k, l)` the probability that slot `l` holds the item of slot `k` of the logged
            slate.
        target_at: `[n, S, S]`.
        pseudo_inverse: `[n]`, `q_πᵀ Γ⁺ 1_s` of `recsys.replay.slates.pseudo_inverse`; may be negative.
        pseudo_inverse_error: `[n]`, its standard error where a policy was sampled; no estimator reads it.
        predicted: `[n, S]`, `Q_k(x, s_1 … s_k)`, a model's prediction of the reward of slot `k` and later slots.
        expected: `[n, S]`, `Σ_a π(a | x, s_1 … s_{k−1}) Q_k(x, s_1 … s_{k−1}, a)`.
        user: `[n]`, number of the user of each request, from 0; requests of a user depend on each other. None where
            requests are independent.
        by_slot: whether each slot has a reward of its own.
        later: functions that compute missing parts on demand, by the name of the part.
    """

    items: Int[Tensor, "n S"]
    reward: Float[Tensor, "n S"]
    logging: Float[Tensor, " n"] | None = None
    target: Float[Tensor, " n"] | None = None
    logging_prefix: Float[Tensor, "n S"] | None = None
    target_prefix: Float[Tensor, "n S"] | None = None
    logging_slot: Float[Tensor, "n S"] | None = None
    target_slot: Float[Tensor, "n S"] | None = None
    logging_at: Float[Tensor, "n S S"] | None = None
    target_at: Float[Tensor, "n S S"] | None = None
    pseudo_inverse: Float[Tensor, " n"] | None = None
    pseudo_inverse_error: Float[Tensor, " n"] | None = None
    predicted: Float[Tensor, "n S"] | None = None
    expected: Float[Tensor, "n S"] | None = None
    user: Int[Tensor, " n"] | None = None
    by_slot: bool = True
    later: Mapping[str, Callable[[], Tensor]] | None = field(default=None, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def filled(self) -> Tensor:
        """Return `[n, S]`, true where a slot holds an item."""
        return self.items >= 0

    @property
    def slate_ratio(self) -> Float[Tensor, " n"]:
        """Return `[n]`, the importance weight of the whole slate, `π(s | x) / p(s | x)`."""
        return self._slate("target") / self._slate("logging")

    @property
    def prefix_ratio(self) -> Float[Tensor, "n S"]:
        """Return `[n, S]`, the importance weight of each prefix, the product of its slots' ratios.

        The ratio of slot `l` is `π(s_l | x, s_1 … s_{l−1}) / p(s_l | x, s_1 … s_{l−1})`.
        """
        return (self.need("target_prefix") / self.need("logging_prefix")).cumprod(-1)

    @property
    def slot_ratio(self) -> Float[Tensor, "n S"]:
        """Return `[n, S]`, the importance weight of each item at its slot, `π(s_k at k | x) / p(s_k at k | x)`."""
        return self._own_slot("target") / self._own_slot("logging")

    @override
    def called(self, name: str) -> str:
        side, _, part = name.partition("_")
        return f"the probability of {PARTS[part]} under {POLICIES[side]}" if side in POLICIES else OTHERS[name]

    @override
    def given_by(self, name: str) -> str:
        side, _, part = name.partition("_")
        if side == "logging":
            return ": log it, or say who wrote the log (log.logging)"
        if side == "target":
            return ": add it to the table, or give the policy a `distribution`" if part else ""
        return {"pseudo_inverse": ": say who wrote the log (log.logging)"}.get(
            name, ": give a model (model=reward_to_go)"
        )

    def need_rewards_by_slot(self) -> None:
        """Raise an error if the log has one reward a slate.

        Raises:
            RequestError: the log has no rewards of slots.
        """
        if not self.by_slot:
            raise RequestError(
                "this estimator needs a reward of each slot (`rewards`), and the log has one a slate: "
                "take one that weighs whole slates"
            )

    def _slate(self, side: Side) -> Float[Tensor, " n"]:
        prefix = getattr(self, f"{side}_prefix")
        if getattr(self, side) is None and prefix is not None:
            return prefix.prod(-1)
        return self.need(side)

    def _own_slot(self, side: Side) -> Float[Tensor, "n S"]:
        at = getattr(self, f"{side}_at")
        if getattr(self, f"{side}_slot") is None and at is not None:
            return torch.diagonal(at, dim1=-2, dim2=-1)
        return self.need(f"{side}_slot")


POLICIES = {"logging": "the logging policy", "target": "the target policy"}
"""What the two policies are called in messages."""

PARTS = {
    "": "the whole slate (`propensity`)",
    "prefix": "each slot given the slots before it (`prefix_propensities`)",
    "slot": "each item at its slot (`slot_propensities`)",
    "at": "each logged item at every slot",
}
"""What the parts of both policies are called in messages."""

OTHERS = {
    "pseudo_inverse": "the pseudo-inverse weight of each slate",
    "predicted": "a model's prediction for each slot given the slots before it",
    "expected": "a model's prediction for each slot, expected under the target policy",
}
"""What the other parts are called in messages."""
