"""Intervals that hold for any log size: of means of numbers with known bounds."""

from __future__ import annotations

from math import log, sqrt

from recsys.errors import RequestError
from recsys.metrics.intervals import Interval
from recsys.replay.mean import Mean


def empirical_bernstein(mean: Mean, low: float, high: float, confidence: float = 0.95) -> Interval:
    """`z̄ ± (√(2 V ln(4 / α) / n) + 7 (high − low) ln(4 / α) / (3 (n − 1)))`, with `V` the variance of the `z`.

    `α` is 1 − confidence. Contains `E[z]` with at least the confidence, whatever the distribution of the `z`, which are
    independent, alike and in `[low, high]`; looked at once, after a number of rounds fixed before. Cut to
    `[low, high]`. Wide where bounds are far and rounds few. No interval of one number.

    The bounds are what is known before the log is read: for `w r` with `r` in [0, 1] they are 0 and the largest weight
    that the two policies allow, not the largest one seen. Clipped weights are bounded by the clip; the interval is then
    for the clipped mean, of which only the low end bounds the value (`r ≥ 0`). Source: Maurer and Pontil 2009,
    "Empirical Bernstein bounds and sample variance penalization", theorem 4 for each side with `α / 2`.

    The low end alone, by which a policy is chosen safely, is above the mean with a chance of at most `α / 2`.

    Args:
        mean: of the `z`.
        low: no `z` is below.
        high: no `z` is above.
        confidence: in (0, 1).

    Raises:
        RequestError: the numbers were not within the bounds.

    >>> found = empirical_bernstein(Mean(units=1001, total=0.0, square=0.0), 0, 1)  # 7 ln 80 / 3000
    >>> found.low, round(found.high, 6)
    (0, 0.010225)
    """
    if mean.units < 2:
        return Interval(mean.value)
    half = _half(mean, low, high, (1 - confidence) / 2)
    return Interval(mean.value, max(low, mean.value - half), min(high, mean.value + half))


def _half(mean: Mean, low: float, high: float, tail: float) -> float:
    slack = 1e-9 * (high - low)
    largest = max(abs(low), abs(high)) + slack
    if not low - slack <= mean.value <= high + slack or mean.square > mean.units * largest**2:
        raise RequestError(
            f"a mean of {mean.value:g} is not of numbers from {low:g} to {high:g}: give bounds that hold"
        )
    number = log(2 / tail)
    return sqrt(2 * mean.variance * number / mean.units) + 7 * (high - low) * number / (3 * (mean.units - 1))
