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
"""Rounds processed at once where every action counts, so that intermediate values fit into the processor's cache."""


@dataclass(frozen=True)
class BanditBatch(OptionalParts):
    """`n` rounds of single actions joined with a target policy, of `A` actions.

    Inputs are float64, or float32 to save memory; what is computed from them is float64. Estimators that only reweigh
    need the first four parts; the others are there if the log, the policy and a reward model give them.

    Args:
        action: `[n]`, chosen actions, in `0 … A − 1`.
        reward: `[n]`, `r`.
        logging: `[n]`, `p(a | x)`, probability of the chosen action under the logging policy, in (0, 1].
        target: `[n]`, `π(a | x)`, probability of the chosen action under the target policy, in [0, 1].
        user: `[n]`, number of the user of each round, from 0; rounds of a user depend on each other. None where rounds
            are independent.
        logging_all: `[n, A]`, `p(· | x)`.
        target_all: `[n, A]`, `π(· | x)`.
        predicted_all: `[n, A]`, `q(x, ·)`, predictions of a reward model for every action.
        mrdr_all: `[n, A]`, `q(x, ·)` of a reward model that was fitted to minimise the variance of DR; see `MRDR`.
        estimated_weight: `[n]`, estimate of `π(a | x) / p(a | x)` made from the log; see `balancing_weights`.
        later: functions that compute missing parts on demand, by the name of the part.
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
        """Return the importance weights `w = π(a | x) / p(a | x)`, float64."""
        return self.target.double() / self.logging.double()

    @cached_property
    def predicted(self) -> Float[Tensor, " n"]:
        """Return the predicted rewards `q(x, a)` of the chosen actions, float64."""
        return self.need("predicted_all").gather(1, self.action.long().unsqueeze(1)).squeeze(1).double()

    @cached_property
    def expected(self) -> Float[Tensor, " n"]:
        """Return the predicted rewards under the target policy, `Σ_a π(a | x) q(x, a)`, float64."""
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
"""How a user of `recsys replay` provides them."""


def join_target(
    logged: LoggedActions,
    target: TargetPolicy,
    logging: TargetPolicy | None = None,
    later: Mapping[str, Callable[[], Tensor]] | None = None,
) -> BanditBatch:
    """Return logged actions joined with a target policy.

    The probabilities of all actions are computed on demand: most estimators only reweigh, a table may have the logged
    actions only, and a catalogue may be large.

    Args:
        logged: logged actions with propensities.
        target: the target policy.
        logging: the logging policy, where its probabilities of all actions are known.
        later: functions that compute further parts of `BanditBatch` on demand.

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
