"""Doubly robust estimators of episodes, and their direct method."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from recsys.ranges import at_least, within
from recsys.replay.episodes.batch import EpisodeBatch, powers
from recsys.replay.episodes.importance import EpisodeEstimator
from recsys.replay.estimator import Terms


@dataclass(frozen=True)
class SequentialTerms(Terms[EpisodeBatch]):
    """The terms `(1, v(s_0), Σ_t γ^t [ρ_{t − 1} v(s_t) + ρ_t (r_t − q(s_t, a_t))])` of an episode.

    The last action of a truncated episode has no correction.

    Args:
        discount: `γ`, in [0, 1].
    """

    discount: float

    @override
    def __call__(self, batch: EpisodeBatch) -> Float[Tensor, "n 3"]:
        expected, surprise = corrections(batch)
        corrected = (expected + surprise) @ batch.discounts(self.discount)
        return torch.stack([torch.ones_like(corrected), expected[:, 0], corrected], -1)


@dataclass(frozen=True)
class SequentialStepTerms(Terms[EpisodeBatch]):
    """The terms `(1, ρ_t …, ρ_{t − 1} v(s_t) …, ρ_t (r_t − q(s_t, a_t)) …)` of an episode, `t` from 0 to `T − 1`.

    Args:
        horizon: `T`, at least the number of steps of the longest episode.
    """

    horizon: int

    @override
    def __call__(self, batch: EpisodeBatch) -> Float[Tensor, "n k"]:
        batch = batch.padded(self.horizon)
        weight = batch.weight
        return torch.cat([torch.ones_like(weight[:, :1]), weight, *corrections(batch)], 1)


def corrections(batch: EpisodeBatch) -> tuple[Float[Tensor, "n T"], Float[Tensor, "n T"]]:
    """Return `ρ_{t − 1} v(s_t)` and `ρ_t (r_t − q(s_t, a_t))` of each step."""
    surprise = torch.where(batch.closed, batch.reward - batch.need("predicted"), 0)
    return batch.weight_before * batch.known("expected"), batch.weight * surprise


def step_values(totals: Float[Tensor, "*R k"], horizon: int) -> tuple[Float[Tensor, "*R T"], Float[Tensor, "*R T"]]:
    """Return the two sums of `SequentialStepTerms`, each divided by the sum of its own weights.

    Args:
        totals: sums of `SequentialStepTerms`.
        horizon: `T`.
    """
    count, weight, expected, surprise = totals.split([1, horizon, horizon, horizon], -1)
    before = torch.cat([count, weight[..., :-1]], -1)
    return expected / before, surprise / weight


@dataclass(frozen=True)
class SequentialDR(EpisodeEstimator):
    """Estimate the value of episodes by DR, `Σ_i Σ_t γ^t [ρ_{t − 1} v(s_t) + ρ_t (r_t − q(s_t, a_t))] / n`.

    The sum is the unrolled recursion `v(s_t) + π / p · (r_t + γ DR_{t + 1} − q(s_t, a_t))`. Unbiased for any `q` that
    has not seen the episode and `v(s) = Σ_a π(a | s) q(s, a)`, if `p(a | h) > 0` wherever `π(a | h) > 0`; for truncated
    episodes only with a right model. Source: Jiang and Li 2016, "Doubly robust off-policy value evaluation for
    reinforcement learning".

    Args:
        discount: `γ`, in [0, 1], the same as the model's.
    """

    discount: float = 1.0

    def __post_init__(self) -> None:
        within(0, 1, discount=self.discount)

    @property
    @override
    def terms(self) -> SequentialTerms:
        return SequentialTerms(self.discount)

    @override
    def value(self, totals: Float[Tensor, "*R 3"]) -> Float[Tensor, "*R"]:
        return totals[..., 2] / totals[..., 0]


@dataclass(frozen=True)
class SequentialDM(SequentialDR):
    """Estimate the value of episodes by the direct method, `Σ_i v(s_0) / n`, which is unbiased if the model is.

    Its interval contains the variation of first states, not the error of the model.

    Args:
        discount: `γ`, in [0, 1], the same as the model's.
    """

    @override
    def weight(self, batch: EpisodeBatch) -> Float[Tensor, " n"]:
        return torch.ones_like(batch.reward[:, 0])

    @override
    def value(self, totals: Float[Tensor, "*R 3"]) -> Float[Tensor, "*R"]:
        return totals[..., 1] / totals[..., 0]


@dataclass(frozen=True)
class WeightedDoublyRobust(EpisodeEstimator):
    """Estimate the value of episodes by weighted DR: `SequentialDR` with every step normalised by its own weights.

    The estimate is `Σ_t γ^t [Σ_i ρ_{t − 1} v(s_t) / Σ_i ρ_{t − 1} + Σ_i ρ_t (r_t − q(s_t, a_t)) / Σ_i ρ_t]`. Consistent
    where `SequentialDR` is unbiased; episodes that ended keep their weight, as in `PerDecisionSNIPS`. Source: Thomas
    and Brunskill 2016, "Data-efficient off-policy policy evaluation for reinforcement learning".

    Args:
        horizon: at least the number of steps of the longest episode.
        discount: `γ`, in [0, 1], the same as the model's.
    """

    horizon: int
    discount: float = 1.0

    def __post_init__(self) -> None:
        at_least(1, horizon=self.horizon)
        within(0, 1, discount=self.discount)

    @property
    @override
    def terms(self) -> SequentialStepTerms:
        return SequentialStepTerms(self.horizon)

    @override
    def value(self, totals: Float[Tensor, "*R k"]) -> Float[Tensor, "*R"]:
        expected, surprise = step_values(totals, self.horizon)
        return (expected + surprise) @ powers(self.discount, self.horizon).to(totals)
