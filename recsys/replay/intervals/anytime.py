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
    """`√(2 (m ρ² + 1) / (m ρ²) · ln(√(m ρ² + 1) / α))`, how many standard errors; 1.96 would be for one time.

    >>> round(boundary(1000, 1000, 0.05), 2)
    3.04
    """
    mixed = units * (-2 * log(tail) + log(-2 * log(tail)) + 1) / tightest
    return sqrt(2 * (mixed + 1) / mixed * log(sqrt(mixed + 1) / tail))


GUESSES = (1 / 2, 1 / 8, 1 / 32)
"""`g`, where the mean may lie, as a share of the scale."""

RATES = tuple(0.9 * 0.5**halvings for halvings in range(21))
"""`λ`: large ones tell after few rounds, small ones after many, up to some 10¹²."""

BISECTIONS = 100


def confidence_sequence(sums: Sums, rewards: tuple[float, float] = (0.0, 1.0), confidence: float = 0.95) -> Interval:
    """The value of a policy, between bounds that all hold at all times, from sums of `ImportanceTerms`.

    `low = a + L(w (r − a))` and `high = b − L(w (b − r))`, where `L` is `lower_bound` with half of `α` and rewards are
    in `[a, b]`; the high end as `E[w] = 1`. Together they hold with the confidence. Weights may be as large as they
    like. Where weights are too small on average, as they are clipped or the log has not all of the policy's actions,
    both means are lower and both bounds still hold. The estimate given beside is that of `IPS`, which the interval need
    not contain where the mean weight is far from 1.

    Sources: Waudby-Smith, Wu, Ramdas, Karampatziakis, Mineiro 2022, "Anytime-valid off-policy inference for contextual
    bandits"; the mixture as in Howard, Ramdas, McAuliffe, Sekhon 2021, "Time-uniform, nonparametric, nonasymptotic
    confidence sequences".

    Args:
        sums: of `ImportanceTerms`, over rounds or whole episodes that depend on no other but through what was logged
            before.
        rewards: `a` and `b`.
        confidence: in (0, 1).

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
    """What the mean of `z ≥ 0` is at least, at all times at once, but for a chance of `tail`.

    The least `c ≥ 0` for which `evidence` against it is below `1 / tail`. About twice as far from the mean as the
    closed form's low end, for any number of rounds.

    Args:
        mean: of the `z`.
        scale: about what a mean can be at most; bounds hold whatever it is, and are tighter where it is right. Not
            taken from the log.
        tail: in (0, 1).
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
    """`log M`, `M = mean over g, λ of exp[λ Σ (z − c) / g − ψ(λ) Σ (z − g)² / g²]`, `ψ(λ) = −ln(1 − λ) − λ`.

    What is proved. For `ξ ≥ −1` and `λ` in [0, 1), `exp(λ ξ − ψ(λ) ξ²) ≤ 1 + λ ξ` (Fan, Grama, Liu 2015, "Exponential
    inequalities for martingales with applications"). As `z ≥ 0`, `ξ = (z − g) / g` is at least −1, with no bound above.
    If the mean of each `z`, given those before, is at most `c`, its factor `exp(λ (z − c) / g − ψ(λ) ξ²)` therefore has
    a mean of at most `exp(−λ u) (1 + λ u) ≤ 1` with `u = (c − g) / g`. So `M` is a supermartingale that starts at 1,
    and so is a mean of such over numbers fixed before; by Ville it ever exceeds `1 / α` with a chance of at most `α`.

    Why sums suffice. Any `g` that does not look ahead would do, also the running mean, but then `Σ (z − g)²` would
    depend on the order. With `g` fixed it is `Σ z² − 2 g Σ z + n g²`: parts of a log merge, and the bound holds at all
    times of any order in which rounds may come, one order at a time. It decreases in `c`, so that all that is refuted
    is below a bound.

    Args:
        units: `n`.
        total: `Σ z`.
        square: `Σ z²`.
        candidate: `c`.
        scale: of the guesses, above 0.
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
