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
from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.weights import PlainWeights, Weights
from recsys.replay.estimator import Estimator, Terms
from recsys.replay.sums import Sums


@dataclass(frozen=True)
class CressieReadTerms(Terms[BanditBatch]):
    """`(1, w, w², w r, w² r, w² r²)` a round.

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
    """`Σ q_i w_i r_i`, with `q` the shares nearest to even ones under which `Σ q_i w_i = 1` and `Σ q_i = 1`.

    Nearest is least `Σ (q_i − 1 / (n + 1))²`, the Cressie–Read divergence of power 2, whose solution is linear in the
    weights. One round is made up, of the highest weight possible where the log's weights average below 1 and else of
    the lowest, since the log may lack exactly the rounds that would repair the mean; its reward is the middle of the
    range. Consistent where `IPS` is, of no more variance in large logs, exact to `1 / n` where rewards are constant.
    Because of the made-up round, sums that are all multiplied alike give a value that moves by about `1 / n`. Source:
    Karampatziakis, Langford, Mineiro 2020, "Empirical likelihood for contextual bandits".

    Args:
        weights: `w`.
        lowest: smallest weight possible, in [0, 1).
        highest: largest weight possible, above 1; where it is not known infinite, which is wider.
        rewards: lowest and highest reward possible.

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
        object.__setattr__(self, "rewards", tuple(self.rewards))
        if not 0 <= self.lowest < 1 < self.highest:
            raise ConfigurationError(
                "weights average 1, so `lowest` is in [0, 1) and `highest` above 1, "
                f"not {self.lowest} and {self.highest}"
            )
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
        """`Σ q w r` and `Σ q w` of the log's own rounds, with one of weight `made_up` beside them."""
        count, weight, squared, earned, squared_earned, _ = totals.unbind(-1)
        rounds = count + 1
        mean = (weight + made_up) / rounds
        slope = (1 - mean) / ((squared + made_up**2) / rounds - mean.square())
        known = (earned + slope * (squared_earned - mean * earned)) / rounds
        return known, (weight + slope * (squared - mean * weight)) / rounds

    def interval(self, sums: Sums, confidence: float = 0.95) -> Interval:
        """Every value that some `q` gives which is not too far from even, within the range of rewards.

        Too far is `(n + 1) Σ (q_i − 1 / (n + 1))²` beyond the least by more than the `confidence` quantile of Fisher's
        F with 1 and `n` degrees of freedom, over `n + 1`; the made-up round has the end of each range that is worst.

        Args:
            sums: of the terms, one unit a round.
            confidence: in (0, 1).

        Raises:
            RequestError: units are not rounds; `closed_form` serves those.
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
    """`Σ q w r` at the nearest `q`, how far that is, and the variance of `w r` that `w` does not explain.

    Of `w (r − reward)`, to which `Σ q w = 1` adds `reward`: the made-up round has 0 of it, however large its weight.
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
