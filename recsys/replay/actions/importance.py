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
    """`(1, w, w r)` a round.

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
    """`Σ w r / n`, inverse propensity scoring.

    Unbiased with plain weights where `p(a | x) > 0` wherever `π(a | x) > 0`. Source: Horvitz and Thompson 1952, "A
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
    """`Σ w r / Σ w`, self-normalised: within the range of the rewards, exact where they are constant.

    Consistent, not unbiased. Source: Swaminathan and Joachims 2015, "The self-normalized estimator for counterfactual
    learning".

    Args:
        weights: `w`.
    """

    @override
    def value(self, totals: Float[Tensor, "*R 3"]) -> Float[Tensor, "*R"]:
        _, weight, weighted = totals.unbind(-1)
        return weighted / weight


@dataclass(frozen=True)
class MeanWeight(Estimator[BanditBatch]):
    """`Σ w / n`, 1 on average where every choice of the target policy had a chance and propensities are right.

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
    """`(m, m r)` a round, with `m = π(a | x)` the chance that the policy does what was logged."""

    @override
    def __call__(self, batch: BanditBatch) -> Float[Tensor, "n 2"]:
        _require_uniform(batch)
        return torch.stack([batch.target, batch.target * batch.reward], -1)


@dataclass(frozen=True)
class RejectionSampling(Estimator[BanditBatch]):
    """`Σ m r / Σ m`, the mean reward of the rounds in which the policy agrees with the log.

    For logs of uniformly chosen actions and nothing else: the propensity must be the same in every round. For a policy
    that always answers alike `m` is 1 or 0, and the value is unbiased given that a round matches. For one that draws
    `m` is its probability of the logged action, the mean over draws in place of a single one; consistent then. Logs
    with other propensities are weighed, not matched; see `SNIPS`. Source: Li, Chu, Langford, Wang 2011, "Unbiased
    offline evaluation of contextual-bandit-based news article recommendation algorithms".

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
    """Raise where the propensities of a batch are not those of an even draw."""
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
