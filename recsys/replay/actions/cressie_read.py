"""Empirical-likelihood estimator and interval of the Cressie-Read family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf, isinf
from typing import Any

import torch
from jaxtyping import Float
from scipy.special import fdtri
from torch import Tensor
from typing_extensions import override

from recsys.errors import ConfigurationError, RequestError
from recsys.metrics.intervals import Interval
from recsys.ranges import above, below_one, finite
from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.weights import PlainWeights, Weights
from recsys.replay.estimator import Estimator, Terms
from recsys.replay.sums import Sums


@dataclass(frozen=True)
class CressieReadTerms(Terms[BanditBatch]):
    """The terms `(1, w, w², w r, w² r, w² r²)` of a round.

    Args:
        weights: `w`.
    """

    weights: Weights[Any] = field(default_factory=PlainWeights)

    @override
    def __call__(self, batch: BanditBatch) -> Float[Tensor, "n 6"]:
        weight, reward = self.weights(batch), batch.reward
        earned, squared = weight * reward, weight.square()
        return torch.stack([torch.ones_like(weight), weight, squared, earned, squared * reward, earned.square()], -1)


@dataclass(frozen=True)
class CressieRead(Estimator[BanditBatch]):
    """Estimate the value by empirical likelihood: `Σ q_i w_i r_i` with shares `q` of the rounds.

    The shares are the nearest to equal ones that satisfy `Σ q_i w_i = 1` and `Σ q_i = 1`: those with the least `Σ (q_i
    − 1 / (n + 1))²`, the Cressie–Read divergence of power 2, which are linear in the weights. One round is added to the
    log, because the log may lack the very rounds that would satisfy the constraint: its weight is the largest possible
    where the logged weights average below 1, and the smallest possible otherwise; its reward is the middle of the
    range. Consistent where `IPS` is, with no more variance in large logs; exact to `1 / n` if rewards are constant.
    Because of the added round, the value changes by about `1 / n` if all sums are multiplied by one number. Source:
    Karampatziakis, Langford, Mineiro 2020, "Empirical likelihood for contextual bandits".

    Args:
        weights: `w`.
        lowest: smallest possible weight, in [0, 1).
        highest: largest possible weight, above 1; infinity where it is not known, which widens the interval.
        rewards: smallest and largest possible reward.

    >>> from recsys.replay.actions.batch import BanditBatch
    >>> rounds = BanditBatch(torch.arange(4), *torch.tensor([[1.0, 0, 1, 0], [0.5] * 4, [0, 0, 1, 1]]).double())
    >>> estimator = CressieRead(highest=4.0)
    >>> estimator.value(estimator.terms(rounds).sum(0))  # q = 1/6, 1/6, 1/4, 1/4, and 1/6 of the made-up weight 0
    tensor(0.5000, dtype=torch.float64)
    """

    weights: Weights[Any] = field(default_factory=PlainWeights)
    lowest: float = 0.0
    highest: float = inf
    rewards: Sequence[float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        below_one(lowest=self.lowest)
        object.__setattr__(self, "rewards", tuple(self.rewards))
        if self.highest != inf:
            above(1, highest=self.highest)
        if len(self.rewards) != 2:
            raise ConfigurationError(f"`rewards` are the lowest and the highest possible, not {self.rewards}")
        finite(**{f"rewards[{place}]": value for place, value in enumerate(self.rewards)})
        if not self.rewards[0] < self.rewards[1]:
            raise ConfigurationError(f"`rewards` are the lowest and the highest possible, not {self.rewards}")

    @property
    @override
    def terms(self) -> CressieReadTerms:
        return CressieReadTerms(self.weights)

    @override
    def weight(self, batch: BanditBatch) -> Float[Tensor, " n"]:
        return self.weights(batch)

    @override
    def value(self, totals: Float[Tensor, "*R 6"]) -> Float[Tensor, "*R"]:
        count, weight, _, earned, _, _ = totals.unbind(-1)
        low = self._shared(totals, self.lowest)
        high = (earned / count, weight / count) if isinf(self.highest) else self._shared(totals, self.highest)
        known, carried = (torch.where(weight < count, *pair) for pair in zip(high, low, strict=True))
        return known + (1 - carried).clamp(min=0) * sum(self.rewards) / 2

    def _shared(self, totals: Float[Tensor, "*R 6"], made_up: float) -> tuple[Float[Tensor, "*R"], Float[Tensor, "*R"]]:
        """Return `Σ q w r` and `Σ q w` over the logged rounds, with an added round of weight `made_up`."""
        count, weight, squared, earned, squared_earned, _ = totals.unbind(-1)
        rounds = count + 1
        mean = (weight + made_up) / rounds
        slope = (1 - mean) / ((squared + made_up**2) / rounds - mean.square())
        known = (earned + slope * (squared_earned - mean * earned)) / rounds
        return known, (weight + slope * (squared - mean * weight)) / rounds

    def interval(self, sums: Sums, confidence: float = 0.95) -> Interval:
        """Return the range of the values that shares `q` near to equal ones give, within the range of rewards.

        Shares are near if `(n + 1) Σ (q_i − 1 / (n + 1))²` exceeds its minimum by at most the `confidence` quantile of
        Fisher's F distribution with 1 and `n` degrees of freedom, divided by `n + 1`. Each end takes the added round
        that is worst for it.

        Args:
            sums: sums of the terms, one unit a round.
            confidence: level of the interval, in (0, 1).

        Raises:
            RequestError: a unit has several rounds; use `closed_form` there.
        """
        totals = sums.totals.double()
        count = float(totals[0])
        if sums.units != count:
            raise RequestError(
                f"this interval is for rounds that stand alone, and {sums.units} units have {count:g} rounds; "
                "use `closed_form`"
            )
        value = float(self.value(totals))
        if count < 2:
            return Interval(value)
        nearest = _profile(totals, self.highest if float(totals[1]) < count else self.lowest, 0.0)[1]
        budget = nearest + float(fdtri(1, count, confidence)) / (count + 1)
        ends = []
        for reward, sign in zip(self.rewards, (-1.0, 1.0), strict=True):
            found = [_profile(totals, made_up, reward) for made_up in (self.lowest, self.highest)]
            reached = [
                sign * centre + (spread * (budget - least)) ** 0.5 for centre, least, spread in found if least <= budget
            ]
            ends.append(min(max(sign * max(reached), self.rewards[0]), self.rewards[1]))
        return Interval(value, *ends)


def _profile(totals: Float[Tensor, " 6"], made_up: float, reward: float) -> tuple[float, float, float]:
    """Return `Σ q w r` at the nearest `q`, its divergence, and the variance of `w r` that `w` does not explain.

    The sums are of `w (r − reward)`, and `reward` is added at the end, because `Σ q w = 1`; in this form the added
    round contributes 0, however large its weight.
    """
    count, weight, squared, earned, squared_earned, earned_squared = totals.tolist()
    beyond, with_weight = earned - reward * weight, squared_earned - reward * squared
    beyond_squared = earned_squared - 2 * reward * squared_earned + reward**2 * squared
    if isinf(made_up):
        spread = (beyond_squared - beyond**2 / count) / (count + 1)
        return reward + beyond / count, 1 / count, max(spread, 0.0)
    rounds = count + 1
    mean, level = (weight + made_up) / rounds, beyond / rounds
    variance = (squared + made_up**2) / rounds - mean**2
    covariance = with_weight / rounds - mean * level
    spread = beyond_squared / rounds - level**2 - covariance**2 / variance
    return reward + level + (1 - mean) * covariance / variance, (1 - mean) ** 2 / variance, max(spread, 0.0)
