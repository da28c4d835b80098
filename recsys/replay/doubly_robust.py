"""Estimators that correct a reward model by what the log earned beyond it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.replay.continuous_rounds import ContinuousRounds
from recsys.replay.estimator import Terms
from recsys.replay.rounds import Rewarded, Rounds
from recsys.replay.standard import Column
from recsys.replay.weights import Nothing, Plain, Weights


@dataclass(frozen=True)
class Modelled:
    """`(1, Σ_a π(a | x) q(x, a), w, w (r − q(x, a)))` a round.

    Args:
        weights: `w`.
    """

    weights: Weights[Any] = field(default_factory=Plain)

    @property
    def columns(self) -> tuple[Column, ...]:
        """See `Standard`."""
        if self.weights == Nothing():
            return (Column.ONE, Column.EXPECTED, Column.ZERO, Column.ZERO)
        return (Column.ONE, Column.EXPECTED, Column.WEIGHT, Column.SURPRISE)

    def __call__(self, batch: Rounds | ContinuousRounds) -> Float[Tensor, "n 4"]:
        """See `Terms`."""
        weight = self.weights(batch)
        surprise = weight * (batch.reward - batch.predicted)
        return torch.stack([torch.ones_like(weight), batch.expected, weight, surprise], -1)


@dataclass(frozen=True)
class DR:
    """`Σ [Σ_a π(a | x) q(x, a) + w (r − q(x, a))] / n`, doubly robust.

    With plain weights unbiased where `p(a | x) > 0` wherever `π(a | x) > 0`, whatever `q`, which must not have seen the
    round; with a right `q` unbiased whatever the weights. Source: Dudík, Langford, Li 2011, "Doubly robust policy
    evaluation and learning".

    Args:
        weights: `w`.
    """

    weights: Weights[Any] = field(default_factory=Plain)

    @property
    def terms(self) -> Terms[Any]:
        """See `Estimator`."""
        return Modelled(self.weights)

    def weight(self, batch: Rewarded) -> Float[Tensor, " n"]:
        """See `Estimator`."""
        return self.weights(batch)

    def value(self, totals: Float[Tensor, "*R 4"]) -> Float[Tensor, "*R"]:
        """See `Estimator`."""
        count, expected, _, surprise = totals.unbind(-1)
        return (expected + surprise) / count


@dataclass(frozen=True)
class SNDR(DR):
    """`Σ_i Σ_a π(a | x_i) q(x_i, a) / n + Σ w (r − q(x, a)) / Σ w`, self-normalised.

    Consistent where `DR` is unbiased. Source: Thomas and Brunskill 2016, "Data-efficient off-policy policy evaluation
    for reinforcement learning" (weighted doubly robust).

    Args:
        weights: `w`.
    """

    def value(self, totals: Float[Tensor, "*R 4"]) -> Float[Tensor, "*R"]:
        """See `Estimator`."""
        count, expected, weight, surprise = totals.unbind(-1)
        return expected / count + surprise / weight


@dataclass(frozen=True)
class DM(DR):
    """`Σ_i Σ_a π(a | x_i) q(x_i, a) / n`, the direct method: right where the reward model is."""

    weights: Weights[Any] = field(default_factory=Nothing, init=False)

    def weight(self, batch: Rewarded) -> Float[Tensor, " n"]:
        """1: every round counts alike."""
        return torch.ones_like(batch.reward).double()
