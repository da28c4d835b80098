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
    """Return the interval by the delta method, `v ± t √(m / (m − 1) · gᵀ (Σ t tᵀ) g)`.

    `v` is the value, `g` its gradient by the totals, `m` the number of units, and `t` before the root the quantile of
    Student's distribution with `m − 1` degrees of freedom. A value does not change if all sums are multiplied by one
    number, so `g · Σ t = 0`, and `g · t` of a unit is the change of the value that the unit causes. The variance is
    that of the mean for a mean, and the linearised one for a ratio. There is no interval for fewer than two units.

    Args:
        estimator: a smooth function of the sums.
        sums: sums of its terms.
        confidence: level, in (0, 1).

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
    """Return the value and its variance by the delta method, `m / (m − 1) · gᵀ (Σ t tᵀ) g`; 0 for fewer than two units.

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
    """Return the empirical Bernstein interval, `z̄ ± (√(2 V ln(4 / α) / n) + 7 (high − low) ln(4 / α) / (3 (n − 1)))`.

    `V` is the sample variance of the `z`, `α` is 1 − confidence. It contains `E[z]` with at least the confidence for
    any distribution of independent, identically distributed `z` in `[low, high]`, at one log size fixed in advance. It
    is cut to `[low, high]`, wide if the bounds are far apart and rounds few, and missing for one number.

    The bounds must be known before the log is read: for `w r` with `r` in [0, 1] they are 0 and the largest weight that
    the two policies allow, not the largest one seen. Clipped weights are bounded by the clip; the interval then is of
    the clipped mean, of which only the lower end bounds the value (`r ≥ 0`). The lower end alone, by which a policy is
    selected safely, is above the mean with probability `α / 2` at most. Source: Maurer and Pontil 2009, "Empirical
    Bernstein bounds and sample variance penalization", theorem 4 for each side with `α / 2`.

    Args:
        mean: the mean of the `z`, as sums.
        low: lower bound of the `z`.
        high: upper bound of the `z`.
        confidence: level, in (0, 1).

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
