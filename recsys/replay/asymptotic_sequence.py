"""Intervals that hold at all times at once in the limit: for any estimator, as the closed form does for one time."""

from __future__ import annotations

from math import log, sqrt
from typing import Any

from recsys.metrics.intervals import Interval
from recsys.replay.closed_form import linearised
from recsys.replay.estimator import Estimator
from recsys.replay.sums import Sums


def asymptotic_sequence(estimator: Estimator[Any], sums: Sums, tightest: int, confidence: float = 0.95) -> Interval:
    """`v ± σ √(2 (m ρ² + 1) / (m² ρ²) · ln(√(m ρ² + 1) / α))` with `m` units and `σ² / m` the closed form's variance.

    Contains the value at all times from some number of units on, with the confidence in the limit as that number grows;
    what the central limit theorem is to one time. The bound of a Gaussian process of the same variance, with a mixture
    over its drift. No interval with fewer than two units. Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2024,
    "Time-uniform central limit theory and asymptotic confidence sequences".

    Args:
        estimator: a smooth function of the sums.
        sums: of its terms.
        tightest: number of units at which it is best, at least 1, not chosen by the log:
            `ρ² = (−2 ln α + ln(−2 ln α) + 1) / tightest`.
        confidence: in (0, 1).

    >>> import torch
    >>> from recsys.replay.importance import IPS
    >>> terms = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]]).repeat(500, 1)
    >>> found = asymptotic_sequence(IPS(), Sums.of(terms), tightest=1000)
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (0.5, 0.452, 0.548)
    """
    value, variance = linearised(estimator, sums)
    if sums.units < 2:
        return Interval(value)
    half = sqrt(variance) * boundary(sums.units, tightest, 1 - confidence)
    return Interval(value, value - half, value + half)


def boundary(units: float, tightest: int, tail: float) -> float:
    """`√(2 (m ρ² + 1) / (m ρ²) · ln(√(m ρ² + 1) / α))`, how many standard errors; 1.96 would be for one time.

    >>> round(boundary(1000, 1000, 0.05), 2)
    3.04
    """
    mixed = units * (-2 * log(tail) + log(-2 * log(tail)) + 1) / tightest
    return sqrt(2 * (mixed + 1) / mixed * log(sqrt(mixed + 1) / tail))
