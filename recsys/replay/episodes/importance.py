"""Importance sampling of episodes: per decision and trajectory-wise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from recsys.replay.actions.batch import BanditBatch
from recsys.replay.episodes.batch import EpisodeBatch, powers
from recsys.replay.estimator import Estimator, Terms


@dataclass(frozen=True)
class PerDecisionTerms(Terms[EpisodeBatch]):
    """`(1, Σ_t γ^t ρ_t r_t)` an episode.

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
    """`(1, ρ_0 … ρ_{T − 1}, ρ_0 r_0 … ρ_{T − 1} r_{T − 1})` an episode.

    Args:
        horizon: `T`, at least the steps of the longest episode.
    """

    horizon: int

    @override
    def __call__(self, batch: EpisodeBatch) -> Float[Tensor, "n k"]:
        batch = batch.padded(self.horizon)
        weight = batch.weight
        return torch.cat([torch.ones_like(weight[:, :1]), weight, weight * batch.known("reward")], 1)


@dataclass(frozen=True)
class EpisodeEstimator(Estimator[EpisodeBatch]):
    """What estimators that weigh steps by `ρ_t` share."""

    @override
    def weight(self, batch: EpisodeBatch) -> Float[Tensor, " n"]:
        """See `Estimator`: that of the whole episode, the last and most unequal one that is used."""
        return batch.weight[:, -1]


@dataclass(frozen=True)
class PerDecisionIPS(EpisodeEstimator):
    """`Σ_i Σ_t γ^t ρ_t r_t / n`: a reward is weighed by the actions up to it, not by those after it.

    Unbiased where `p(a | h) > 0` wherever `π(a | h) > 0`, with any dependence on the history `h`. Source: Precup,
    Sutton, Singh 2000, "Eligibility traces for off-policy policy evaluation".

    Args:
        discount: `γ`, in [0, 1].

    >>> ones = torch.ones(1, 2)
    >>> episodes = EpisodeBatch(ones, ones / 2, ones * 0.75, ones > 0)
    >>> estimator = PerDecisionIPS()
    >>> estimator.value(estimator.terms(episodes).sum(0)).item()  # 1.5 + 1.5²
    3.75
    """

    discount: float = 1.0

    @property
    @override
    def terms(self) -> PerDecisionTerms:
        return PerDecisionTerms(self.discount)

    @override
    def value(self, totals: Float[Tensor, "*R 2"]) -> Float[Tensor, "*R"]:
        return totals[..., 1] / totals[..., 0]


@dataclass(frozen=True)
class PerDecisionSNIPS(EpisodeEstimator):
    """`Σ_t γ^t Σ_i ρ_t r_t / Σ_i ρ_t`, every step normalised by its own weights.

    Consistent where `PerDecisionIPS` is unbiased, as `E[ρ_t] = 1` at every step. This holds of all episodes: those that
    ended before `t` keep their last weight in `Σ_i ρ_t`, as if they went on in a state that leaves no choice. Summed
    over those that still run, the ratio would be the reward of an episode that is known to last: another quantity. NaN
    where at some step no episode has a weight. Source: Thomas and Brunskill 2016, "Data-efficient off-policy policy
    evaluation for reinforcement learning", where short episodes end in an absorbing state.

    Args:
        horizon: at least the steps of the longest episode.
        discount: `γ`, in [0, 1].

    >>> rewards, mask = torch.ones(2, 2), torch.tensor([[True, True], [True, False]])
    >>> episodes = EpisodeBatch(rewards, rewards / 2, rewards / 2, mask)
    >>> estimator = PerDecisionSNIPS(horizon=2)
    >>> estimator.value(estimator.terms(episodes).sum(0)).item()  # 1 + 1 / 2
    1.5
    """

    horizon: int
    discount: float = 1.0

    @property
    @override
    def terms(self) -> PerStepTerms:
        return PerStepTerms(self.horizon)

    @override
    def value(self, totals: Float[Tensor, "*R k"]) -> Float[Tensor, "*R"]:
        _, weight, earned = totals.split([1, self.horizon, self.horizon], -1)
        return (earned / weight) @ powers(self.discount, self.horizon).to(totals)


def as_bandit_batch(episodes: EpisodeBatch, discount: float) -> BanditBatch:
    """Each episode as a round: its reward `Σ_t γ^t r_t`, its weight the product of its ratios.

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
        of: its terms.
        discount: `γ`, in [0, 1].
    """

    of: Terms[BanditBatch]
    discount: float

    @override
    def __call__(self, batch: EpisodeBatch) -> Float[Tensor, "n k"]:
        return self.of(as_bandit_batch(batch, self.discount))


@dataclass(frozen=True)
class TrajectoryWise(Estimator[EpisodeBatch]):
    """A single-action estimator that weighs, of whole episodes.

    `TrajectoryWise(IPS())` is trajectory-wise importance sampling, `Σ ρ_T Σ_t γ^t r_t / n`, `TrajectoryWise(SNIPS())`
    its self-normalised form; other weights clip or shrink the product. What the estimator claims of rounds it claims of
    episodes. Of all here it varies most: a weight is a product over the whole episode. Source: Precup, Sutton, Singh
    2000, "Eligibility traces for off-policy policy evaluation".

    Args:
        of: the estimator; needs no model.
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
