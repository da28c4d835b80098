"""Anytime-valid intervals: asymptotic and betting confidence sequences."""

from __future__ import annotations

from math import inf, log, sqrt
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.metrics.intervals import Interval
from recsys.replay.estimator import Estimator
from recsys.replay.intervals.fixed_sample import linearised
from recsys.replay.sums import SampleMean, Sums


def asymptotic_sequence(estimator: Estimator[Any], sums: Sums, tightest: int, confidence: float = 0.95) -> Interval:
    """Return an asymptotic confidence sequence, `v ± σ √(2 (m ρ² + 1) / (m² ρ²) · ln(√(m ρ² + 1) / α))`.

    `v` is the value, `m` the number of units, `σ² / m` the variance by the delta method, `α` is 1 − confidence. From
    some number of units on, it contains the true value at all log sizes at once, with the confidence in the limit: what
    the central limit theorem is for one log size. It is the boundary of a Gaussian process with the same variance, with
    a mixture over its drift. There is no interval for fewer than two units. Source: Waudby-Smith, Arbour, Sinha,
    Kennedy, Ramdas 2024, "Time-uniform central limit theory and asymptotic confidence sequences".

    Args:
        estimator: a smooth function of the sums.
        sums: sums of its terms.
        tightest: number of units at which the interval is tightest, at least 1, not chosen by the log: `ρ² = (−2 ln α +
            ln(−2 ln α) + 1) / tightest`.
        confidence: level, in (0, 1).

    >>> import torch
    >>> from recsys.replay.actions.importance import IPS
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
    """Return the half width in standard errors, `√(2 (m ρ² + 1) / (m ρ²) · ln(√(m ρ² + 1) / α))`; 1.96 at one log size.

    >>> round(boundary(1000, 1000, 0.05), 2)
    3.04
    """
    mixed = units * (-2 * log(tail) + log(-2 * log(tail)) + 1) / tightest
    return sqrt(2 * (mixed + 1) / mixed * log(sqrt(mixed + 1) / tail))


GUESSES = (1 / 2, 1 / 8, 1 / 32)
"""`g`, fixed guesses of the mean, as a share of the scale."""

RATES = tuple(0.9 * 0.5**halvings for halvings in range(21))
"""`λ`, betting rates: large ones decide after few rounds, small ones after many, up to some 10¹²."""

BISECTIONS = 100


def confidence_sequence(sums: Sums, rewards: tuple[float, float] = (0.0, 1.0), confidence: float = 0.95) -> Interval:
    """Return the IPS estimate of a policy's value, between bounds that hold at all log sizes at once.

    The bounds are `low = a + L(w (r − a))` and `high = b − L(w (b − r))`, with `L` the function `lower_bound` at half
    of `α`, and rewards in `[a, b]`; the upper bound uses `E[w] = 1`. Together they hold with the confidence. Weights
    need no upper bound. If weights average below 1, because they are clipped or the log lacks actions, both means are
    smaller and both bounds still hold. The interval need not contain the estimate if the mean weight is far from 1.

    Sources: Waudby-Smith, Wu, Ramdas, Karampatziakis, Mineiro 2022, "Anytime-valid off-policy inference for contextual
    bandits"; the mixture as in Howard, Ramdas, McAuliffe, Sekhon 2021, "Time-uniform, nonparametric, nonasymptotic
    confidence sequences".

    Args:
        sums: sums of `ImportanceTerms` over rounds or episodes, each of which depends on the others only through what
            was logged before.
        rewards: `a` and `b`, smallest and largest possible reward.
        confidence: level, in (0, 1).

    Raises:
        RequestError: there is no row, or a unit has several.

    >>> terms = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]]).repeat(500, 1)
    >>> found = confidence_sequence(Sums.of(terms))
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (0.5, 0.436, 0.564)
    """
    least, most = rewards
    tail = (1 - confidence) / 2
    low = least + lower_bound(SampleMean.of(sums, (0, -least, 1)), most - least, tail)
    high = most - lower_bound(SampleMean.of(sums, (0, most, -1)), most - least, tail)
    return Interval(SampleMean.of(sums, (0, 0, 1)).value, low, high)


def lower_bound(mean: SampleMean, scale: float, tail: float) -> float:
    """Return a lower bound of the mean of `z ≥ 0` that holds at all log sizes at once, except with probability `tail`.

    The bound is the smallest `c ≥ 0` with `evidence` below `1 / tail`. Its distance from the mean is about twice that
    of the lower end of the closed form, for any number of rounds.

    Args:
        mean: the mean of the `z`, as sums.
        scale: a guess of the largest mean, not taken from the log; bounds hold for any guess, and are tighter for a
            good one.
        tail: probability of failure, in (0, 1).
    """
    units, total, square = torch.tensor([mean.units, mean.total, mean.square], dtype=torch.float64)

    def refuted(candidate: float) -> bool:
        found = evidence(units, total, square, torch.full_like(units, candidate), scale)
        return float(found) >= log(1 / tail)

    low, high = 0.0, mean.value
    if not refuted(low):
        return low
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low


def evidence(
    units: Float[Tensor, "*R"],
    total: Float[Tensor, "*R"],
    square: Float[Tensor, "*R"],
    candidate: Float[Tensor, "*R"],
    scale: float,
) -> Float[Tensor, "*R"]:
    """Return `log M`, the log evidence against a mean of at most `c`.

    `M` is the mean over `g` and `λ` of `exp[λ Σ (z − c) / g − ψ(λ) Σ (z − g)² / g²]`, with `ψ(λ) = −ln(1 − λ) − λ`.

    Proof. For `ξ ≥ −1` and `λ` in [0, 1), `exp(λ ξ − ψ(λ) ξ²) ≤ 1 + λ ξ` (Fan, Grama, Liu 2015, "Exponential
    inequalities for martingales with applications"). As `z ≥ 0`, `ξ = (z − g) / g` is at least −1, with no upper bound.
    If the mean of each `z`, given the earlier ones, is at most `c`, then its factor `exp(λ (z − c) / g − ψ(λ) ξ²)` has
    a mean of at most `exp(−λ u) (1 + λ u) ≤ 1` with `u = (c − g) / g`. So the product of the factors is a
    supermartingale that starts at 1, and so is `M`, a mean of such products with numbers fixed in advance. By Ville's
    inequality it ever exceeds `1 / α` with probability `α` at most.

    Sums suffice. Any `g` that is known before `z` would do, such as the running mean, but then `Σ (z − g)²` would
    depend on the order of the rounds. With fixed `g` it is `Σ z² − 2 g Σ z + n g²`: parts of a log merge, and the bound
    holds at all times of any one order of the rounds. `M` decreases in `c`, so that everything below the bound is
    refuted.

    Args:
        units: `n`.
        total: `Σ z`.
        square: `Σ z²`.
        candidate: `c`.
        scale: scale of the guesses `g`, above 0.
    """
    guess = total.new_tensor(GUESSES).view(-1, 1) * scale
    rate = total.new_tensor(RATES)
    found = total.new_full((*total.shape, 1), -inf)
    total, square, units, candidate = (part.unsqueeze(-1) for part in (total, square, units, candidate))
    for own in guess:
        spread = (square - 2 * own * total + units * own.square()) / own.square()
        exponent = rate / own * (total - units * candidate) - (-torch.log1p(-rate) - rate) * spread
        found = torch.logaddexp(found, exponent.logsumexp(-1, keepdim=True))
    return found.squeeze(-1) - log(len(GUESSES) * len(RATES))
