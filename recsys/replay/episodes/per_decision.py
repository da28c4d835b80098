"""Estimators that weigh what episodes earned step by step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.replay.episodes.episodes import Episodes, powers


@dataclass(frozen=True)
class Decisions:
    """`(1, Σ_t γ^t ρ_t r_t)` an episode.

    Args:
        discount: `γ`, in [0, 1].
    """

    discount: float

    def __call__(self, batch: Episodes) -> Float[Tensor, "n 2"]:
        """See `Terms`."""
        earned = (batch.weight * batch.known("reward")) @ batch.discounts(self.discount)
        return torch.stack([torch.ones_like(earned), earned], -1)


@dataclass(frozen=True)
class Steps:
    """`(1, ρ_0 … ρ_{T − 1}, ρ_0 r_0 … ρ_{T − 1} r_{T − 1})` an episode.

    Args:
        horizon: `T`, at least the steps of the longest episode.
    """

    horizon: int

    def __call__(self, batch: Episodes) -> Float[Tensor, "n k"]:
        """See `Terms`."""
        batch = batch.padded(self.horizon)
        weight = batch.weight
        return torch.cat([torch.ones_like(weight[:, :1]), weight, weight * batch.known("reward")], 1)


@dataclass(frozen=True)
class OfEpisodes:
    """What estimators that weigh steps by `ρ_t` share."""

    def weight(self, batch: Episodes) -> Float[Tensor, " n"]:
        """See `Estimator`: that of the whole episode, the last and most unequal one that is used."""
        return batch.weight[:, -1]


@dataclass(frozen=True)
class PerDecisionIPS(OfEpisodes):
    """`Σ_i Σ_t γ^t ρ_t r_t / n`: a reward is weighed by the actions up to it, not by those after it.

    Unbiased where `p(a | h) > 0` wherever `π(a | h) > 0`, with any dependence on the history `h`. Source: Precup,
    Sutton, Singh 2000, "Eligibility traces for off-policy policy evaluation".

    Args:
        discount: `γ`, in [0, 1].

    >>> ones = torch.ones(1, 2)
    >>> estimator = PerDecisionIPS()
    >>> estimator.value(estimator.terms(Episodes(ones, ones / 2, ones * 0.75, ones > 0)).sum(0)).item()  # 1.5 + 1.5²
    3.75
    """

    discount: float = 1.0

    @property
    def terms(self) -> Decisions:
        """See `Estimator`."""
        return Decisions(self.discount)

    def value(self, totals: Float[Tensor, "*R 2"]) -> Float[Tensor, "*R"]:
        """See `Estimator`."""
        return totals[..., 1] / totals[..., 0]


@dataclass(frozen=True)
class PerDecisionSNIPS(OfEpisodes):
    """`Σ_t γ^t Σ_i ρ_t r_t / Σ_i ρ_t`, every step normalised by its own weights.

    Consistent where `PerDecisionIPS` is unbiased, as `E[ρ_t] = 1` at every step. This holds of all episodes: those that
    ended before `t` keep their last weight in `Σ_i ρ_t`, as if they went on in a state that leaves no choice. Summed
    over those that still run, the ratio would be the reward of an episode that is known to last: another quantity. NaN
    where at some step no episode has a weight. Source: Thomas and Brunskill 2016, "Data-efficient off-policy policy
    evaluation for reinforcement learning", where short episodes end in an absorbing state.

    Args:
        horizon: at least the steps of the longest episode.
        discount: `γ`, in [0, 1].

    >>> rewards, there = torch.ones(2, 2), torch.tensor([[True, True], [True, False]])
    >>> estimator = PerDecisionSNIPS(horizon=2)
    >>> estimator.value(estimator.terms(Episodes(rewards, rewards / 2, rewards / 2, there)).sum(0)).item()  # 1 + 1 / 2
    1.5
    """

    horizon: int
    discount: float = 1.0

    @property
    def terms(self) -> Steps:
        """See `Estimator`."""
        return Steps(self.horizon)

    def value(self, totals: Float[Tensor, "*R k"]) -> Float[Tensor, "*R"]:
        """See `Estimator`."""
        _, weight, earned = totals.split([1, self.horizon, self.horizon], -1)
        return (earned / weight) @ powers(self.discount, self.horizon).to(totals)
