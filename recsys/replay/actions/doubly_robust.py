"""Doubly robust estimators of single actions: DM, DR, self-normalised DR and MRDR."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.standard_terms import TermColumn
from recsys.replay.actions.weights import PlainWeights, Weights, ZeroWeights
from recsys.replay.estimator import Estimator, Terms


@dataclass(frozen=True)
class DoublyRobustTerms(Terms[BanditBatch]):
    """The terms `(1, Σ_a π(a | x) q(x, a), w, w (r − q(x, a)))` of a round.

    Args:
        weights: `w`.
    """

    weights: Weights[Any] = field(default_factory=PlainWeights)

    @property
    def columns(self) -> tuple[TermColumn, ...]:
        """Return the columns of `StandardTerms` that these terms are; without weights the last two are 0."""
        if self.weights == ZeroWeights():
            return (TermColumn.ONE, TermColumn.EXPECTED, TermColumn.ZERO, TermColumn.ZERO)
        return (TermColumn.ONE, TermColumn.EXPECTED, TermColumn.WEIGHT, TermColumn.SURPRISE)

    @override
    def __call__(self, batch: BanditBatch) -> Float[Tensor, "n 4"]:
        weight = self.weights(batch)
        surprise = weight * (batch.reward - batch.predicted)
        return torch.stack([torch.ones_like(weight), batch.expected, weight, surprise], -1)


@dataclass(frozen=True)
class DR(Estimator[BanditBatch]):
    """Estimate the value by the doubly robust estimator, `Σ [Σ_a π(a | x) q(x, a) + w (r − q(x, a))] / n`.

    Unbiased with plain weights and any reward model `q` that has not seen the round, if `p(a | x) > 0` wherever `π(a |
    x) > 0`; unbiased with any weights if `q` is right. Source: Dudík, Langford, Li 2011, "Doubly robust policy
    evaluation and learning".

    Args:
        weights: `w`.
    """

    weights: Weights[Any] = field(default_factory=PlainWeights)

    @property
    @override
    def terms(self) -> Terms[Any]:
        return DoublyRobustTerms(self.weights)

    @override
    def weight(self, batch: BanditBatch) -> Float[Tensor, " n"]:
        return self.weights(batch)

    @override
    def value(self, totals: Float[Tensor, "*R 4"]) -> Float[Tensor, "*R"]:
        count, expected, _, surprise = totals.unbind(-1)
        return (expected + surprise) / count


@dataclass(frozen=True)
class SNDR(DR):
    """Estimate the value by self-normalised DR, `Σ Σ_a π(a | x) q(x, a) / n + Σ w (r − q(x, a)) / Σ w`.

    Consistent where `DR` is unbiased. Source: Thomas and Brunskill 2016, "Data-efficient off-policy policy evaluation
    for reinforcement learning" (weighted doubly robust).

    Args:
        weights: `w`.
    """

    @override
    def value(self, totals: Float[Tensor, "*R 4"]) -> Float[Tensor, "*R"]:
        count, expected, weight, surprise = totals.unbind(-1)
        return expected / count + surprise / weight


@dataclass(frozen=True)
class DM(DR):
    """Estimate the value by the direct method, `Σ Σ_a π(a | x) q(x, a) / n`; unbiased if the reward model is."""

    weights: Weights[Any] = field(default_factory=ZeroWeights, init=False)

    def weight(self, batch: BanditBatch) -> Float[Tensor, " n"]:
        """Return 1 for every round."""
        return torch.ones_like(batch.reward).double()


def mrdr_sample_weight(rounds: BanditBatch) -> Float[Tensor, " n"]:
    """Return the weight of each round's squared error in the fit of MRDR's model, `π(a | x)² (1 − p) / p(a | x)²`.

    The variance that `q` adds to DR in a context is `Σ_a π² (1 − p) / p · δ²` minus `Σ_{a ≠ b} π(a) π(b) δ(a) δ(b)`,
    with `δ = E[r] − q`. The first sum is the mean of these weights times the squared error over logged rounds. The
    second is 0 for deterministic policies and is left out for others.

    >>> import torch
    >>> mrdr_sample_weight(BanditBatch(*map(torch.tensor, ([0], [1.0], [0.25], [0.5]))))  # .25 · .75 / .0625
    tensor([3.], dtype=torch.float64)
    """
    return rounds.weight.square() * (1 - rounds.logging)


@dataclass(frozen=True)
class MRDRTerms(Terms[BanditBatch]):
    """The terms of `DoublyRobustTerms` with the predictions of `BanditBatch.mrdr_all`.

    Args:
        weights: `w`.
    """

    weights: Weights[Any] = field(default_factory=PlainWeights)

    @override
    def __call__(self, batch: BanditBatch) -> Float[Tensor, "n 4"]:
        return DoublyRobustTerms(self.weights)(replace(batch, predicted_all=batch.need("mrdr_all")))


@dataclass(frozen=True)
class MRDR(DR):
    """Estimate the value by `DR` with a reward model that was fitted to minimise the variance of DR.

    The model is fitted with the weights of `mrdr_sample_weight`. Unbiased where `DR` is. Source: Farajtabar, Chow,
    Ghavamzadeh 2018, "More robust doubly robust off-policy evaluation".

    Args:
        weights: `w`.
    """

    @property
    @override
    def terms(self) -> Terms[Any]:
        return MRDRTerms(self.weights)
