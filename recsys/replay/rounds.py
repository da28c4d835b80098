"""Logged rounds beside what a policy to be judged would have done: what single-action estimators read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.replay.parts import Parts

ROWS = 2**14
"""How many rounds are worked on at once where every action counts, so that what is between stays in the cache."""


@runtime_checkable
class Rewarded(Protocol):
    """A batch in which every row earned something: what estimators read that only weigh."""

    @property
    def reward(self) -> Float[Tensor, " n"]:
        """`[n]`, `r`, what each row earned."""
        ...


@dataclass(frozen=True)
class Rounds(Parts):
    """`n` rounds, of `A` actions, in float64, or in float32 where memory counts; what is computed is float64.

    Estimators that only weigh need the first four; the rest is there where the log, the policy and a reward model give
    it.

    Args:
        action: `[n]`, what was chosen, in `0 … A − 1`.
        reward: `[n]`, `r`, what it earned.
        logging: `[n]`, `p(a | x)`, in (0, 1], with which the logging policy chose it.
        target: `[n]`, `π(a | x)`, in [0, 1], with which the policy to be judged chooses it.
        user: `[n]`, whose rounds depend on each other, from 0; None where each round stands alone.
        logging_all: `[n, A]`, `p(· | x)`.
        target_all: `[n, A]`, `π(· | x)`.
        predicted_all: `[n, A]`, `q(x, ·)`, what a reward model expects of every action.
        robust_all: `[n, A]`, `q(x, ·)` of a model that was fitted for little variance of DR; see `MRDR`.
        estimated_weight: `[n]`, estimated from the log in place of `π(a | x) / p(a | x)`.
        logger: `[n]`, which logging policy it was, from 0; None where there was one.
        pooled: `[n]`, in (0, 1], of what was chosen under the mixture of all loggers; see `pooled_propensity`.
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
    robust_all: Float[Tensor, "n A"] | None = None
    estimated_weight: Float[Tensor, " n"] | None = None
    logger: Int[Tensor, " n"] | None = None
    pooled: Float[Tensor, " n"] | None = None
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

    def called(self, name: str) -> str:
        """See `Parts.called`."""
        return MISSING[name]

    def given_by(self, name: str) -> str:
        """See `Parts.given_by`."""
        return GIVEN_BY.get(name, "")


MISSING = {
    "logging_all": "every action's probability under the logging policy",
    "target_all": "every action's probability under the policy to be judged",
    "predicted_all": "a reward model's prediction for every action",
    "robust_all": "predictions for every action of a reward model fitted for little variance of DR",
    "estimated_weight": "weights estimated from the log",
    "logger": "which logging policy chose each action",
    "pooled": "each action's probability under the mixture of all logging policies",
}
"""What the parts of `Rounds` are called in messages."""

GIVEN_BY = {
    "logging_all": ": say who wrote the log (log.logging), or estimate its propensities (log.propensities=estimated)",
    "predicted_all": ": give a model of rewards (model=means, model=logistic or model=ridge)",
    "robust_all": ": give a model of rewards (model=logistic or model=ridge)",
}
"""How `recsys replay` is told to make them."""
