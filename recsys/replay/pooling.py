"""Logs of several logging policies taken together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.errors import RequestError
from recsys.replay.rounds import Rounds
from recsys.replay.weights import Plain, Weights


def pooled_propensity(each: Float[Tensor, "n K"], shares: Float[Tensor, " K"]) -> Float[Tensor, " n"]:
    """`Σ_k s_k p_k(a | x)`, of what was chosen under the mixture of loggers.

    Args:
        each: `p_k(a | x)`, of each round's action under every logger, whoever chose it.
        shares: `s_k`, the share of the whole log's rounds that each logger has, not of this batch's.

    >>> pooled_propensity(torch.tensor([[0.2, 0.6]]), torch.tensor([0.75, 0.25]))
    tensor([0.3000])
    """
    return each @ shares


@dataclass(frozen=True)
class Pooled:
    """`π(a | x) / Σ_k s_k p_k(a | x)`: what one logger hardly ever does may be common in another.

    `IPS(Pooled())` is balanced pooling: unbiased where *some* logger has support, and never of more variance than naive
    pooling, which is `IPS()` on all rounds with the propensity of the logger who chose. Source: Agarwal, Basu,
    Schnabel, Joachims 2017, "Effective evaluation using logged bandit feedback from multiple loggers".
    """

    def __call__(self, rounds: Rounds) -> Float[Tensor, " n"]:
        """See `Weights`."""
        return rounds.target / rounds.need("pooled")


@dataclass(frozen=True)
class OfLoggers:
    """`(1, w r, (w r)²)` a round at its logger's place, 0 at the others'.

    Args:
        loggers: `K`.
        weights: `w`.
    """

    loggers: int
    weights: Weights[Any] = field(default_factory=Plain)

    def __call__(self, batch: Rounds) -> Float[Tensor, "n k"]:
        """See `Terms`."""
        logger = batch.need("logger")
        if len(logger) and int(logger.max()) >= self.loggers:
            raise RequestError(
                f"logger {int(logger.max())} is in the log, and the estimator is for {self.loggers}, numbered from 0"
            )
        earned = self.weights(batch) * batch.reward
        terms = torch.stack([torch.ones_like(earned), earned, earned.square()], -1)
        own = torch.nn.functional.one_hot(logger.long(), self.loggers)
        return (terms.unsqueeze(2) * own.unsqueeze(1)).flatten(1)


@dataclass(frozen=True)
class WeightedPooling:
    """`Σ_k λ_k v_k` with `v_k = Σ_{i ∈ k} w r / n_k` of each logger and `λ_k ∝ n_k / σ_k²`, which sum to 1.

    `σ_k²` is the variance of `w r` in the logger's rounds: a logger far from the policy counts little. Consistent where
    every logger has support; not unbiased, as variances are estimated from the rounds they weigh. A logger without
    rounds has no say; where some logger's `w r` does not vary the value is not a number. Source: Agarwal, Basu,
    Schnabel, Joachims 2017.

    Args:
        loggers: `K`.
        weights: `w`.

    >>> rounds = Rounds(
    ...     *map(torch.tensor, ([0, 0, 0, 0], [1.0, 2.0, 0.0, 4.0], [1.0] * 4, [1.0] * 4)),
    ...     logger=torch.tensor([0, 0, 1, 1]),
    ... )
    >>> pooling = WeightedPooling(2)
    >>> pooling.value(pooling.terms(rounds).double().sum(0))  # (1.5 · 16 + 2 · 1) / 17
    tensor(1.5294, dtype=torch.float64)
    """

    loggers: int
    weights: Weights[Any] = field(default_factory=Plain)

    @property
    def terms(self) -> OfLoggers:
        """See `Estimator`."""
        return OfLoggers(self.loggers, self.weights)

    def weight(self, batch: Rounds) -> Float[Tensor, " n"]:
        """See `Estimator`."""
        return self.weights(batch)

    def value(self, totals: Float[Tensor, "*R k"]) -> Float[Tensor, "*R"]:
        """See `Estimator`."""
        count, earned, squared = totals.unflatten(-1, (3, self.loggers)).unbind(-2)
        there = count > 0
        rounds = torch.where(there, count, 1.0)
        mean = earned / rounds
        precision = torch.where(there, count / torch.where(there, squared / rounds - mean.square(), 1.0), 0.0)
        return (precision * mean).sum(-1) / precision.sum(-1)
