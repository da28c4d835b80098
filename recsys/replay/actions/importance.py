"""Estimators that reweigh rewards: inverse propensity scoring, self-normalised, and rejection sampling."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from recsys.errors import RequestError
from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.standard_terms import TermColumn
from recsys.replay.actions.weights import PlainWeights, Weights
from recsys.replay.estimator import Estimator, Terms


@dataclass(frozen=True)
class ImportanceTerms(Terms[BanditBatch]):
    """The terms `(1, w, w r)` of a round.

    Args:
        weights: `w`.
    """

    weights: Weights[Any] = field(default_factory=PlainWeights)
    columns: ClassVar = (TermColumn.ONE, TermColumn.WEIGHT, TermColumn.WEIGHTED)

    @override
    def __call__(self, batch: BanditBatch) -> Float[Tensor, "n 3"]:
        weight = self.weights(batch)
        return torch.stack([torch.ones_like(weight), weight, weight * batch.reward], -1)


@dataclass(frozen=True)
class IPS(Estimator[BanditBatch]):
    """Estimate the value by inverse propensity scoring, `Σ w r / n`.

    Unbiased with plain weights if `p(a | x) > 0` wherever `π(a | x) > 0`. Source: Horvitz and Thompson 1952, "A
    generalization of sampling without replacement from a finite universe".

    Args:
        weights: `w`.

    >>> from recsys.replay.actions.batch import BanditBatch
    >>> rounds = BanditBatch(*map(torch.tensor, ([0, 1], [1.0, 1.0], [0.5, 0.25], [0.5, 0.5])))
    >>> estimator = IPS()
    >>> float(estimator.value(estimator.terms(rounds).sum(0)))  # (1 + 2) / 2
    1.5
    """

    weights: Weights[Any] = field(default_factory=PlainWeights)

    @property
    @override
    def terms(self) -> ImportanceTerms:
        return ImportanceTerms(self.weights)

    @override
    def weight(self, batch: BanditBatch) -> Float[Tensor, " n"]:
        return self.weights(batch)

    @override
    def value(self, totals: Float[Tensor, "*R 3"]) -> Float[Tensor, "*R"]:
        count, _, weighted = totals.unbind(-1)
        return weighted / count


@dataclass(frozen=True)
class SNIPS(IPS):
    """Estimate the value by self-normalised inverse propensity scoring, `Σ w r / Σ w`.

    Consistent, not unbiased. The estimate lies within the range of the rewards, and is exact if they are constant.
    Source: Swaminathan and Joachims 2015, "The self-normalized estimator for counterfactual learning".

    Args:
        weights: `w`.
    """

    @override
    def value(self, totals: Float[Tensor, "*R 3"]) -> Float[Tensor, "*R"]:
        _, weight, weighted = totals.unbind(-1)
        return weighted / weight


@dataclass(frozen=True)
class MeanWeight(Estimator[BanditBatch]):
    """Estimate the mean importance weight, `Σ w / n`.

    Its expectation is 1 if propensities are right and the logging policy gives every action that the target policy
    takes a positive probability.

    >>> from recsys.replay.actions.batch import BanditBatch
    >>> rounds = BanditBatch(*map(torch.tensor, ([0, 1], [1.0, 1.0], [0.5, 0.25], [0.5, 0.5])))
    >>> float(MeanWeight().value(MeanWeight().terms(rounds).sum(0)))  # (1 + 2) / 2
    1.5
    """

    @property
    @override
    def terms(self) -> ImportanceTerms:
        return ImportanceTerms()

    @override
    def weight(self, batch: BanditBatch) -> Float[Tensor, " n"]:
        return self.terms.weights(batch)

    @override
    def value(self, totals: Float[Tensor, "*R 3"]) -> Float[Tensor, "*R"]:
        count, weight, _ = totals.unbind(-1)
        return weight / count


@dataclass(frozen=True)
class MatchedTerms(Terms[BanditBatch]):
    """The terms `(m, m r)` of a round; `m = π(a | x)` is the target policy's probability of the logged action."""

    @override
    def __call__(self, batch: BanditBatch) -> Float[Tensor, "n 2"]:
        _require_uniform(batch)
        return torch.stack([batch.target, batch.target * batch.reward], -1)


@dataclass(frozen=True)
class RejectionSampling(Estimator[BanditBatch]):
    """Estimate the value by the mean reward of rounds in which the target policy agrees with the log, `Σ m r / Σ m`.

    Only for logs of uniformly chosen actions: the propensity must be the same in every round; for other logs use
    `SNIPS`. For a deterministic policy `m` is 1 or 0, and the estimate is unbiased given that a round matches. For a
    stochastic policy `m` is the probability of the logged action, the mean over draws instead of a single draw; the
    estimate is consistent then. Source: Li, Chu, Langford, Wang 2011, "Unbiased offline evaluation of
    contextual-bandit-based news article recommendation algorithms".

    >>> rounds = BanditBatch(*map(torch.tensor, ([0, 1, 1], [1.0, 0.0, 1.0], [0.5, 0.5, 0.5], [0.0, 1.0, 1.0])))
    >>> RejectionSampling().value(RejectionSampling().terms(rounds).sum(0))  # rounds 1 and 2
    tensor(0.5000)
    """

    @property
    @override
    def terms(self) -> MatchedTerms:
        return MatchedTerms()

    @override
    def weight(self, batch: BanditBatch) -> Float[Tensor, " n"]:
        return batch.target

    @override
    def value(self, totals: Float[Tensor, "*R 2"]) -> Float[Tensor, "*R"]:
        matches, earned = totals.unbind(-1)
        return earned / matches


def _require_uniform(batch: BanditBatch) -> None:
    """Raise an error if the propensities of a batch are not those of uniformly chosen actions."""
    if not len(batch):
        return
    low, high = float(batch.logging.min()), float(batch.logging.max())
    if high - low > 1e-6 * high:
        raise RequestError(
            f"replay by rejection needs actions logged uniformly, and propensities go from {low:g} to {high:g}; "
            "weigh the rounds instead, with `recsys.replay.actions.importance.SNIPS`"
        )
    every = batch.target_all if batch.logging_all is None else batch.logging_all
    if every is not None and abs(high * every.shape[1] - 1) > 1e-6:
        raise RequestError(
            f"replay by rejection needs actions logged uniformly, and {every.shape[1]} actions have propensities of "
            f"{high:g}; weigh the rounds instead, with `recsys.replay.actions.importance.SNIPS`"
        )
