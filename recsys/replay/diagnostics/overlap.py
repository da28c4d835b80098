"""Overlap of log and target policy: weight histogram, effective sample size and warnings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from scipy.special import ndtri
from torch import Tensor

from recsys.metrics.intervals import Interval
from recsys.ranges import at_least, between, within

ROWS = 2**18
"""Weights that a thread counts at once."""


@dataclass(frozen=True)
class WeightSummary:
    """A histogram of weights, one weight a row; the summaries of parts of a log are added.

    Row 0 counts the weights that are 0, row `b ≥ 1` those with `2^(b − 65) ≤ |w| < 2^(b − 64)`; rows 1 and 128 also
    count smaller and larger ones.

    Args:
        sizes: `[129, 3]`: for each size the number of weights, `Σ w` and `Σ w²`.
        largest: largest `|w|`.
    """

    sizes: Float[Tensor, "129 3"]
    largest: float

    @classmethod
    def of(cls, weight: Float[Tensor, " n"]) -> WeightSummary:
        """Return the summary of one weight a row.

        >>> summary = WeightSummary.of(torch.tensor([0.0, 1.0, 1.0, 4.0]))
        >>> summary.rows, summary.total, summary.largest, summary.effective  # 6² / 18
        (4, 6.0, 4.0, 2.0)
        """
        from recsys.replay.numba_kernels import in_parallel, totals_by_size

        weights = weight.detach().double().contiguous().numpy()

        def counted(start: int) -> Any:
            return totals_by_size(weights[start : start + ROWS])

        sizes, largest = torch.zeros(129, 3, dtype=torch.float64), 0.0
        for part, most in in_parallel(counted, range(0, len(weights), ROWS)):
            sizes += torch.from_numpy(part)
            largest = max(largest, most)
        return cls(sizes, largest)

    @property
    def rows(self) -> int:
        """Return the number of weights."""
        return int(self.sizes[:, 0].sum())

    @property
    def total(self) -> float:
        """Return `Σ w`."""
        return float(self.sizes[:, 1].sum())

    @property
    def squares(self) -> float:
        """Return `Σ w²`."""
        return float(self.sizes[:, 2].sum())

    @property
    def effective(self) -> float:
        """Return the effective sample size `(Σ w)² / Σ w²`; 0 if all weights are 0.

        So many equal weights would tell as much. Source: Kish 1965, "Survey sampling".
        """
        total, squares = self.total, self.squares
        if not squares:
            return 0.0
        return total * total / squares if total * total < float("inf") else total / squares * total

    @property
    def edges(self) -> Float[Tensor, " 129"]:
        """Return the smallest weight of each row of `sizes`.

        >>> WeightSummary.of(torch.ones(1)).edges[[0, 64, 65, 66]]
        tensor([0.0000, 0.5000, 1.0000, 2.0000], dtype=torch.float64)
        """
        return torch.cat([torch.zeros(1), torch.exp2(torch.arange(-64.0, 64.0))]).double()

    def __add__(self, other: WeightSummary) -> WeightSummary:
        return WeightSummary(self.sizes + other.sizes, max(self.largest, other.largest))


@dataclass(frozen=True)
class OverlapLimits:
    """The overlap below which an estimate has a warning.

    Args:
        effective_sample_size: smallest effective sample size; below it, neither the estimate nor its interval is
            reliable.
        missing: largest distance of the mean weight from 1, beyond the mean's own interval. Below 1 the distance is the
            share of the target policy's choices that the log lacks.
        confidence: level of the interval of the mean weight, in (0, 1).
    """

    effective_sample_size: float = 100.0
    missing: float = 0.05
    confidence: float = 0.95

    def __post_init__(self) -> None:
        at_least(0, effective_sample_size=self.effective_sample_size)
        within(0, 1, missing=self.missing)
        between(0, 1, confidence=self.confidence)


def overlap_warning(
    weights: WeightSummary, limits: OverlapLimits, averages_to_one: bool = True, mean: Interval | None = None
) -> str:
    """Return why a log does not support an estimate; empty if it does.

    The expectation of the weights under the logging policy is 1 if it gives every choice of the target policy a
    positive probability and the propensities are right. It is below 1 if choices are missing, by their share, and above
    1 if propensities are too small.

    Args:
        weights: weights of the log's rows.
        limits: the smallest overlap without a warning.
        averages_to_one: whether the expectation of these weights is 1 with full overlap; not so for clipped or shrunk
            weights.
        mean: mean of the weights with its interval, where rows of a user depend on each other; None to take rows as
            independent.

    >>> import torch
    >>> overlap_warning(WeightSummary.of(torch.ones(50)), OverlapLimits())
    'effective sample size 50, at least 100 is asked'
    >>> overlap_warning(WeightSummary.of(torch.tensor([0.5, 0.7]).repeat(500)), OverlapLimits())
    'weights average 0.600 [0.594, 0.606] where 1 is expected: the policy makes choices that the log does not show'
    """
    if weights.effective < limits.effective_sample_size:
        return f"effective sample size {weights.effective:.3g}, at least {limits.effective_sample_size:g} is asked"
    mean = mean or _mean(weights, limits.confidence)
    if not averages_to_one or mean.low is None or mean.high is None:
        return ""
    shown = f"weights average {mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}] where 1 is expected"
    if mean.high < 1 - limits.missing:
        return f"{shown}: the policy makes choices that the log does not show"
    if mean.low > 1 + limits.missing:
        return f"{shown}: the log's propensities are too small"
    return ""


def _mean(weights: WeightSummary, confidence: float) -> Interval:
    """Return the mean weight with its interval, rows taken as independent."""
    mean = weights.total / weights.rows
    spread = max(weights.squares / weights.rows - mean**2, 0.0) ** 0.5
    half = float(ndtri((1 + confidence) / 2)) * spread / weights.rows**0.5
    return Interval(mean, mean - half, mean + half)
