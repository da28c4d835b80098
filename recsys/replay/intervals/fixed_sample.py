"""Intervals for one fixed log size: the delta method and the empirical Bernstein bound."""

from __future__ import annotations

from math import log, sqrt
from typing import Any

import torch
from scipy.special import stdtrit

from recsys.errors import RequestError
from recsys.metrics.intervals import Interval
from recsys.replay.estimator import Estimator
from recsys.replay.sums import SampleMean, Sums


def closed_form(estimator: Estimator[Any], sums: Sums, confidence: float = 0.95) -> Interval:
    """`v ± t √(m / (m − 1) · gᵀ (Σ t tᵀ) g)` with `v` the value, `g` its gradient by the totals and `m` units.

    As a value does not change when all sums grow alike, `g · Σ t = 0`, and `g · t` of a unit is how much the unit moves
    the value. For a ratio this is its linearised variance; for a mean that of the mean. The quantile is Student's with
    `m − 1` degrees of freedom. No interval with fewer than two units.

    Args:
        estimator: a smooth function of the sums.
        sums: of its terms.
        confidence: in (0, 1).

    >>> from recsys.replay.actions.importance import IPS
    >>> terms = torch.tensor([[1.0, 1.0, reward] for reward in (0.0, 0.0, 1.0, 1.0)])
    >>> found = closed_form(IPS(), Sums.of(terms))  # .5 ± 3.182 · .577 / 2
    >>> round(found.value, 4), round(found.low, 4), round(found.high, 4)
    (0.5, -0.4187, 1.4187)
    """
    value, variance = linearised(estimator, sums)
    if sums.units < 2:
        return Interval(value)
    half = float(stdtrit(sums.units - 1, (1 + confidence) / 2)) * variance**0.5
    return Interval(value, value - half, value + half)


def linearised(estimator: Estimator[Any], sums: Sums) -> tuple[float, float]:
    """The value and its variance by the delta method, `m / (m − 1) · gᵀ (Σ t tᵀ) g`; 0 with fewer than two units.

    >>> from recsys.replay.actions.importance import IPS
    >>> terms = torch.tensor([[1.0, 1.0, reward] for reward in (0.0, 0.0, 1.0, 1.0)])
    >>> value, variance = linearised(IPS(), Sums.of(terms))  # (1 / 3) / 4
    >>> value, round(variance, 4)
    (0.5, 0.0833)
    """
    totals = sums.totals.detach().requires_grad_()
    with torch.enable_grad():
        value = estimator.value(totals)
        [gradient] = torch.autograd.grad(value, totals)
    if sums.units < 2:
        return float(value.detach()), 0.0
    variance = float(gradient @ sums.products @ gradient) * sums.units / (sums.units - 1)
    return float(value.detach()), max(variance, 0.0)


def empirical_bernstein(mean: SampleMean, low: float, high: float, confidence: float = 0.95) -> Interval:
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

    >>> found = empirical_bernstein(SampleMean(units=1001, total=0.0, square=0.0), 0, 1)  # 7 ln 80 / 3000
    >>> found.low, round(found.high, 6)
    (0, 0.010225)
    """
    if mean.units < 2:
        return Interval(mean.value)
    half = _half(mean, low, high, (1 - confidence) / 2)
    return Interval(mean.value, max(low, mean.value - half), min(high, mean.value + half))


def _half(mean: SampleMean, low: float, high: float, tail: float) -> float:
    slack = 1e-9 * (high - low)
    largest = max(abs(low), abs(high)) + slack
    if not low - slack <= mean.value <= high + slack or mean.square > mean.units * largest**2:
        raise RequestError(
            f"a mean of {mean.value:g} is not of numbers from {low:g} to {high:g}: give bounds that hold"
        )
    number = log(2 / tail)
    return sqrt(2 * mean.variance * number / mean.units) + 7 * (high - low) * number / (3 * (mean.units - 1))
