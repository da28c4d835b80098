"""Intervals by the delta method: from sums alone, without resampling."""

from __future__ import annotations

from typing import Any

import torch
from scipy.special import stdtrit

from recsys.metrics.intervals import Interval
from recsys.replay.estimator import Estimator
from recsys.replay.sums import Sums


def closed_form(estimator: Estimator[Any], sums: Sums, confidence: float = 0.95) -> Interval:
    """`v ± t √(m / (m − 1) · gᵀ (Σ t tᵀ) g)` with `v` the value, `g` its gradient by the totals and `m` units.

    As a value does not change when all sums grow alike, `g · Σ t = 0`, and `g · t` of a unit is how much the unit moves
    the value. For a ratio this is its linearised variance; for a mean that of the mean. The quantile is Student's with
    `m − 1` degrees of freedom. No interval with fewer than two units.

    Args:
        estimator: a smooth function of the sums.
        sums: of its terms.
        confidence: in (0, 1).

    >>> from recsys.replay.importance import IPS
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

    >>> from recsys.replay.importance import IPS
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
