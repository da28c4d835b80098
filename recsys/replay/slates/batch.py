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
"""The logging policy, or the target policy."""


@dataclass(frozen=True)
class SlateBatch(OptionalParts):
    """`n` requests, slates `s` of up to `S` slots, in float64; flush left.

    What comes twice, `logging_…` and `target_…`, is the probability of the same thing under the logging policy, in
    (0, 1], and under the target policy, in [0, 1]. Each may be absent; an estimator names what it misses. Empty
    slots earn 0, and what tells of them alone has probability 1: how many are filled is the request's, not a policy's.

    Args:
        items: `[n, S]`, `s`; −1 in empty slots.
        reward: `[n, S]`, `r_k`; a log that has one reward a slate has it in slot 0.
        logging: `[n]`, of the whole slate; the product of `logging_prefix` where absent.
        target: `[n]`.
        logging_prefix: `[n, S]`, of each slot given the slots before it.
        target_prefix: `[n, S]`.
        logging_slot: `[n, S]`, of each item at its slot, whatever else is in the slate; the diagonal of `logging_at`
            where absent.
        target_slot: `[n, S]`.
        logging_at: `[n, S, S]`, at `(i, k, l)` of slot `l` holding the item that slot `k` holds in the log.
        target_at: `[n, S, S]`.
        pseudo_inverse: `[n]`, `q_πᵀ Γ⁺ 1_s`, of `recsys.replay.slates.pseudo_inverse`; may be below 0.
        pseudo_inverse_error: `[n]`, its standard error where a policy was sampled; no estimator reads it.
        predicted: `[n, S]`, `Q_k(x, s_1 … s_k)`, what a model expects slot `k` and those after it to earn.
        expected: `[n, S]`, `Σ_a π(a | x, s_1 … s_{k−1}) Q_k(x, s_1 … s_{k−1}, a)`.
        user: `[n]`, whose requests depend on each other, from 0; None where each stands alone.
        by_slot: whether each slot has a reward of its own.
        later: parts by their names, each made when an estimator first needs it and kept.
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
        """`[n, S]`, true where a slot holds an item."""
        return self.items >= 0

    @property
    def slate_ratio(self) -> Float[Tensor, " n"]:
        """`[n]`, `π(s | x) / p(s | x)`."""
        return self._slate("target") / self._slate("logging")

    @property
    def prefix_ratio(self) -> Float[Tensor, "n S"]:
        """`[n, S]`, `Π_{l ≤ k} π(s_l | x, s_1 … s_{l−1}) / p(…)`."""
        return (self.need("target_prefix") / self.need("logging_prefix")).cumprod(-1)

    @property
    def slot_ratio(self) -> Float[Tensor, "n S"]:
        """`[n, S]`, `π(s_k at k | x) / p(s_k at k | x)`."""
        return self._own_slot("target") / self._own_slot("logging")

    @override
    def called(self, name: str) -> str:
        side, _, part = name.partition("_")
        return f"the probability of {PARTS[part]} under {POLICIES[side]}" if side in POLICIES else OTHERS[name]

    @override
    def given_by(self, name: str) -> str:
        """See `OptionalParts.given_by`; empty where a table must have it."""
        side, _, part = name.partition("_")
        if side == "logging":
            return ": log it, or say who wrote the log (log.logging)"
        if side == "target":
            return ": add it to the table, or give the policy a `distribution`" if part else ""
        return {"pseudo_inverse": ": say who wrote the log (log.logging)"}.get(
            name, ": give a model (model=reward_to_go)"
        )

    def need_rewards_by_slot(self) -> None:
        """Nothing, if there are.

        Raises:
            RequestError: there is one reward a slate.
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
"""What the two sides are called in messages."""

PARTS = {
    "": "the whole slate (`propensity`)",
    "prefix": "each slot given the slots before it (`prefix_propensities`)",
    "slot": "each item at its slot (`slot_propensities`)",
    "at": "each logged item at every slot",
}
"""What the parts that both sides have are called in messages."""

OTHERS = {
    "pseudo_inverse": "the pseudo-inverse weight of each slate",
    "predicted": "a model's prediction for each slot given the slots before it",
    "expected": "a model's prediction for each slot, expected under the target policy",
}
"""What the other parts are called in messages."""
