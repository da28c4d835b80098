"""Importance sampling of episodes: per decision and trajectory-wise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from recsys.ranges import at_least, within
from recsys.replay.actions.batch import BanditBatch
from recsys.replay.episodes.batch import EpisodeBatch, powers
from recsys.replay.estimator import Estimator, Terms


@dataclass(frozen=True)
class PerDecisionTerms(Terms[EpisodeBatch]):
    """The terms `(1, Σ_t γ^t ρ_t r_t)` of an episode.

    Args:
        discount: `γ`, in [0, 1].
    """

    discount: float

    @override
    def __call__(self, batch: EpisodeBatch) -> Float[Tensor, "n 2"]:
        earned = (batch.weight * batch.known("reward")) @ batch.discounts(self.discount)
        return torch.stack([torch.ones_like(earned), earned], -1)


@dataclass(frozen=True)
class PerStepTerms(Terms[EpisodeBatch]):
    """The terms `(1, ρ_0 … ρ_{T − 1}, ρ_0 r_0 … ρ_{T − 1} r_{T − 1})` of an episode.

    Args:
        horizon: `T`, at least the number of steps of the longest episode.
    """

    horizon: int

    @override
    def __call__(self, batch: EpisodeBatch) -> Float[Tensor, "n k"]:
        batch = batch.padded(self.horizon)
        weight = batch.weight
        return torch.cat([torch.ones_like(weight[:, :1]), weight, weight * batch.known("reward")], 1)


@dataclass(frozen=True)
class EpisodeEstimator(Estimator[EpisodeBatch]):
    """Base class of estimators that weigh steps by `ρ_t`.

    The weight of an episode, for the effective sample size, is its last one, `ρ_{T − 1}`, which varies most.
    """

    @override
    def weight(self, batch: EpisodeBatch) -> Float[Tensor, " n"]:
        return batch.weight[:, -1]


@dataclass(frozen=True)
class PerDecisionIPS(EpisodeEstimator):
    """Estimate the value of episodes by per-decision importance sampling, `Σ_i Σ_t γ^t ρ_t r_t / n`.

    A reward is weighed by the actions up to it, not by those after it. Unbiased if `p(a | h) > 0` wherever `π(a | h) >
    0`, for any dependence on the history `h`. Source: Precup, Sutton, Singh 2000, "Eligibility traces for off-policy
    policy evaluation".

    Args:
        discount: `γ`, in [0, 1].

    >>> ones = torch.ones(1, 2)
    >>> episodes = EpisodeBatch(ones, ones / 2, ones * 0.75, ones > 0)
    >>> estimator = PerDecisionIPS()
    >>> estimator.value(estimator.terms(episodes).sum(0)).item()  # 1.5 + 1.5²
    3.75
    """

    discount: float = 1.0

    def __post_init__(self) -> None:
        within(0, 1, discount=self.discount)

    @property
    @override
    def terms(self) -> PerDecisionTerms:
        return PerDecisionTerms(self.discount)

    @override
    def value(self, totals: Float[Tensor, "*R 2"]) -> Float[Tensor, "*R"]:
        return totals[..., 1] / totals[..., 0]


@dataclass(frozen=True)
class PerDecisionSNIPS(EpisodeEstimator):
    """Estimate the value of episodes with every step normalised by its own weights, `Σ_t γ^t Σ_i ρ_t r_t / Σ_i ρ_t`.

    Consistent where `PerDecisionIPS` is unbiased, because `E[ρ_t] = 1` at every step. That holds over all episodes:
    those that ended before `t` keep their last weight in `Σ_i ρ_t`, as if they stayed in an absorbing state. A sum over
    running episodes alone would estimate the reward of episodes that are known to last. NaN if no episode has a weight
    at some step. Source: Thomas and Brunskill 2016, "Data-efficient off-policy policy evaluation for reinforcement
    learning", where short episodes end in an absorbing state.

    Args:
        horizon: at least the number of steps of the longest episode.
        discount: `γ`, in [0, 1].

    >>> rewards, mask = torch.ones(2, 2), torch.tensor([[True, True], [True, False]])
    >>> episodes = EpisodeBatch(rewards, rewards / 2, rewards / 2, mask)
    >>> estimator = PerDecisionSNIPS(horizon=2)
    >>> estimator.value(estimator.terms(episodes).sum(0)).item()  # 1 + 1 / 2
    1.5
    """

    horizon: int
    discount: float = 1.0

    def __post_init__(self) -> None:
        at_least(1, horizon=self.horizon)
        within(0, 1, discount=self.discount)

    @property
    @override
    def terms(self) -> PerStepTerms:
        return PerStepTerms(self.horizon)

    @override
    def value(self, totals: Float[Tensor, "*R k"]) -> Float[Tensor, "*R"]:
        _, weight, earned = totals.split([1, self.horizon, self.horizon], -1)
        return (earned / weight) @ powers(self.discount, self.horizon).to(totals)


def as_bandit_batch(episodes: EpisodeBatch, discount: float) -> BanditBatch:
    """Return each episode as one round, with reward `Σ_t γ^t r_t` and the product of its ratios as weight.

    >>> ones = torch.ones(1, 2)
    >>> rounds = as_bandit_batch(EpisodeBatch(ones, ones / 2, ones * 0.75, ones > 0), 0.5)
    >>> rounds.reward.item(), rounds.weight.item()
    (1.5, 2.25)
    """
    weight = episodes.weight[:, -1]
    earned = episodes.known("reward") @ episodes.discounts(discount)
    return BanditBatch(torch.zeros_like(weight).long(), earned, torch.ones_like(weight), weight)


@dataclass(frozen=True)
class TrajectoryTerms(Terms[EpisodeBatch]):
    """The terms of a single-action estimator, of whole episodes.

    Args:
        of: terms of the single-action estimator.
        discount: `γ`, in [0, 1].
    """

    of: Terms[BanditBatch]
    discount: float

    @override
    def __call__(self, batch: EpisodeBatch) -> Float[Tensor, "n k"]:
        return self.of(as_bandit_batch(batch, self.discount))


@dataclass(frozen=True)
class TrajectoryWise(Estimator[EpisodeBatch]):
    """Apply a single-action estimator to whole episodes (trajectory-wise importance sampling).

    `TrajectoryWise(IPS())` is `Σ ρ_T Σ_t γ^t r_t / n`, `TrajectoryWise(SNIPS())` its self-normalised form; other
    weights clip or shrink the product. The assumptions are those of the single-action estimator, for episodes instead
    of rounds. The variance is the largest of all estimators here, because a weight is a product over the whole episode.
    Source: Precup, Sutton, Singh 2000, "Eligibility traces for off-policy policy evaluation".

    Args:
        of: the single-action estimator; must not need a model.
        discount: `γ`, in [0, 1].

    >>> from recsys.replay.actions.importance import IPS
    >>> ones = torch.ones(1, 2)
    >>> episodes = EpisodeBatch(ones, ones / 2, ones * 0.75, ones > 0)
    >>> estimator = TrajectoryWise(IPS())
    >>> estimator.value(estimator.terms(episodes).sum(0)).item()  # 1.5² · 2
    4.5
    """

    of: Estimator[Any]
    discount: float = 1.0

    def __post_init__(self) -> None:
        within(0, 1, discount=self.discount)

    @property
    @override
    def terms(self) -> TrajectoryTerms:
        return TrajectoryTerms(self.of.terms, self.discount)

    @override
    def weight(self, batch: EpisodeBatch) -> Float[Tensor, " n"]:
        return self.of.weight(as_bandit_batch(batch, self.discount))

    @override
    def value(self, totals: Float[Tensor, "*R k"]) -> Float[Tensor, "*R"]:
        return self.of.value(totals)
