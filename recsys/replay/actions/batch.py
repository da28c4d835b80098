"""Batches of bandit feedback joined with a target policy, as single-action estimators read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from recsys.data.logs.batches import LoggedActions
from recsys.errors import RequestError
from recsys.replay.batch import OptionalParts
from recsys.replay.targets.actions import TargetPolicy

ROWS = 2**14
"""How many rounds are worked on at once where every action counts, so that what is between stays in the cache."""


@dataclass(frozen=True)
class BanditBatch(OptionalParts):
    """`n` rounds, of `A` actions, in float64, or in float32 where memory counts; what is computed is float64.

    Estimators that only weigh need the first four; the rest is there where the log, the policy and a reward model give
    it.

    Args:
        action: `[n]`, what was chosen, in `0 … A − 1`.
        reward: `[n]`, `r`, what it earned.
        logging: `[n]`, `p(a | x)`, in (0, 1], with which the logging policy chose it.
        target: `[n]`, `π(a | x)`, in [0, 1], with which the target policy chooses it.
        user: `[n]`, whose rounds depend on each other, from 0; None where each round stands alone.
        logging_all: `[n, A]`, `p(· | x)`.
        target_all: `[n, A]`, `π(· | x)`.
        predicted_all: `[n, A]`, `q(x, ·)`, what a reward model expects of every action.
        mrdr_all: `[n, A]`, `q(x, ·)` of a model that was fitted for little variance of DR; see `MRDR`.
        estimated_weight: `[n]`, estimated from the log in place of `π(a | x) / p(a | x)`.
        later: parts by their names, each made when an estimator first needs it and kept.
    """

    action: Int[Tensor, " n"]
    reward: Float[Tensor, " n"]
    logging: Float[Tensor, " n"]
    target: Float[Tensor, " n"]
    user: Int[Tensor, " n"] | None = None
    logging_all: Float[Tensor, "n A"] | None = None
    target_all: Float[Tensor, "n A"] | None = None
    predicted_all: Float[Tensor, "n A"] | None = None
    mrdr_all: Float[Tensor, "n A"] | None = None
    estimated_weight: Float[Tensor, " n"] | None = None
    later: Mapping[str, Callable[[], Tensor]] | None = field(default=None, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.action)

    @cached_property
    def weight(self) -> Float[Tensor, " n"]:
        """`[n]`, `w = π(a | x) / p(a | x)`."""
        return self.target.double() / self.logging.double()

    @cached_property
    def predicted(self) -> Float[Tensor, " n"]:
        """`[n]`, `q(x, a)` of what was chosen."""
        return self.need("predicted_all").gather(1, self.action.long().unsqueeze(1)).squeeze(1).double()

    @cached_property
    def expected(self) -> Float[Tensor, " n"]:
        """`[n]`, `Σ_a π(a | x) q(x, a)`."""
        parts = zip(self.need("target_all").split(ROWS), self.need("predicted_all").split(ROWS), strict=True)
        return torch.cat([torch.einsum("na,na->n", target.double(), predicted.double()) for target, predicted in parts])

    @override
    def called(self, name: str) -> str:
        return PART_NAMES[name]

    @override
    def given_by(self, name: str) -> str:
        return GIVEN_BY.get(name, "")


PART_NAMES = {
    "logging_all": "every action's probability under the logging policy",
    "target_all": "every action's probability under the target policy",
    "predicted_all": "a reward model's prediction for every action",
    "mrdr_all": "predictions for every action of a reward model fitted for little variance of DR",
    "estimated_weight": "weights estimated from the log",
}
"""What the parts of `BanditBatch` are called in messages."""

GIVEN_BY = {
    "logging_all": ": say who wrote the log (log.logging), or estimate its propensities (log.propensities=estimated)",
    "predicted_all": ": give a model of rewards (model=means, model=logistic or model=ridge)",
    "mrdr_all": ": give a model of rewards (model=logistic or model=ridge)",
}
"""How `recsys replay` is told to make them."""


def join_target(
    logged: LoggedActions,
    target: TargetPolicy,
    logging: TargetPolicy | None = None,
    later: Mapping[str, Callable[[], Tensor]] | None = None,
) -> BanditBatch:
    """What single-action estimators read.

    Every action's probabilities are asked for when an estimator needs them: most only weigh, a table may know the
    logged actions alone, and a catalogue may be large.

    Args:
        logged: with propensities.
        target: the target policy.
        logging: the logging policy, where it is known beyond the logged actions.
        later: further parts of `BanditBatch`, made when they are needed.

    Raises:
        RequestError: the log has no propensities.

    >>> import torch
    >>> from recsys.replay.targets.actions import UniformActions
    >>> logged = LoggedActions(torch.tensor([0]), torch.tensor([2]), torch.tensor([1.0]), torch.tensor([0.5]))
    >>> rounds = join_target(logged, UniformActions(4))
    >>> rounds.weight, rounds.need("target_all")
    (tensor([0.5000], dtype=torch.float64), tensor([[0.2500, 0.2500, 0.2500, 0.2500]], dtype=torch.float64))
    """
    if logged.propensity is None:
        raise RequestError("the log has no propensities: estimate them (log.propensities=estimated)")
    probabilities = {"target_all": lambda: target.target_all(logged)}
    if logging is not None:
        probabilities["logging_all"] = lambda: logging.target_all(logged)
    return BanditBatch(
        action=logged.action,
        reward=logged.reward.double(),
        logging=logged.propensity.double(),
        target=target.target(logged),
        user=logged.user,
        later={**probabilities, **(later or {})},
    )
