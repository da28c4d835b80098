"""Estimators that weigh what the log earned: inverse propensities, and normalised by their sum."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.replay.rounds import Rewarded
from recsys.replay.standard import Column
from recsys.replay.weights import Plain, Weights


@dataclass(frozen=True)
class Weighted:
    """`(1, w, w r)` a round.

    Args:
        weights: `w`.
    """

    weights: Weights[Any] = field(default_factory=Plain)
    columns: ClassVar = (Column.ONE, Column.WEIGHT, Column.WEIGHTED)

    def __call__(self, batch: Rewarded) -> Float[Tensor, "n 3"]:
        """See `Terms`."""
        weight = self.weights(batch)
        return torch.stack([torch.ones_like(weight), weight, weight * batch.reward], -1)


@dataclass(frozen=True)
class IPS:
    """`Σ w r / n`, inverse propensity scoring.

    Unbiased with plain weights where `p(a | x) > 0` wherever `π(a | x) > 0`. Source: Horvitz and Thompson 1952, "A
    generalization of sampling without replacement from a finite universe".

    Args:
        weights: `w`.

    >>> from recsys.replay.rounds import Rounds
    >>> rounds = Rounds(*map(torch.tensor, ([0, 1], [1.0, 1.0], [0.5, 0.25], [0.5, 0.5])))
    >>> estimator = IPS()
    >>> float(estimator.value(estimator.terms(rounds).sum(0)))  # (1 + 2) / 2
    1.5
    """

    weights: Weights[Any] = field(default_factory=Plain)

    @property
    def terms(self) -> Weighted:
        """See `Estimator`."""
        return Weighted(self.weights)

    def weight(self, batch: Rewarded) -> Float[Tensor, " n"]:
        """See `Estimator`."""
        return self.weights(batch)

    def value(self, totals: Float[Tensor, "*R 3"]) -> Float[Tensor, "*R"]:
        """See `Estimator`."""
        count, _, weighted = totals.unbind(-1)
        return weighted / count


@dataclass(frozen=True)
class SNIPS(IPS):
    """`Σ w r / Σ w`, self-normalised: within the range of the rewards, exact where they are constant.

    Consistent, not unbiased. Source: Swaminathan and Joachims 2015, "The self-normalized estimator for counterfactual
    learning".

    Args:
        weights: `w`.
    """

    def value(self, totals: Float[Tensor, "*R 3"]) -> Float[Tensor, "*R"]:
        """See `Estimator`."""
        _, weight, weighted = totals.unbind(-1)
        return weighted / weight


@dataclass(frozen=True)
class MeanWeight:
    """`Σ w / n`, 1 on average where every choice of the policy to be judged had a chance and propensities are right.

    >>> from recsys.replay.rounds import Rounds
    >>> rounds = Rounds(*map(torch.tensor, ([0, 1], [1.0, 1.0], [0.5, 0.25], [0.5, 0.5])))
    >>> float(MeanWeight().value(MeanWeight().terms(rounds).sum(0)))  # (1 + 2) / 2
    1.5
    """

    terms: Weighted = Weighted()

    def weight(self, batch: Rewarded) -> Float[Tensor, " n"]:
        """See `Estimator`."""
        return self.terms.weights(batch)

    def value(self, totals: Float[Tensor, "*R 3"]) -> Float[Tensor, "*R"]:
        """See `Estimator`."""
        count, weight, _ = totals.unbind(-1)
        return weight / count
