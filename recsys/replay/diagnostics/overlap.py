"""Overlap of log and target policy: weight histogram, effective sample size and warnings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from scipy.special import ndtri
from torch import Tensor

from recsys.metrics.intervals import Interval

ROWS = 2**18
"""How many weights a thread counts at once."""


@dataclass(frozen=True)
class WeightSummary:
    """Of one weight a row; summaries of parts of a log are added.

    Weights are sorted by size: the first row is of those that are 0, row `b` of those with
    `2^(b − 65) ≤ |w| < 2^(b − 64)`; smaller and larger ones are in the first and last of these.

    Args:
        sizes: `[129, 3]`, of each size the count, `Σ w` and `Σ w²`.
        largest: the largest `|w|`.
    """

    sizes: Float[Tensor, "129 3"]
    largest: float

    @classmethod
    def of(cls, weight: Float[Tensor, " n"]) -> WeightSummary:
        """Of one weight a row.

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
        """How many weights."""
        return int(self.sizes[:, 0].sum())

    @property
    def total(self) -> float:
        """`Σ w`."""
        return float(self.sizes[:, 1].sum())

    @property
    def squares(self) -> float:
        """`Σ w²`."""
        return float(self.sizes[:, 2].sum())

    @property
    def effective(self) -> float:
        """`(Σ w)² / Σ w²`, the effective sample size: as many equal weights tell as much; 0 where all are 0.

        Source: Kish 1965, "Survey sampling".
        """
        return self.total**2 / self.squares if self.squares else 0.0

    @property
    def edges(self) -> Float[Tensor, " 129"]:
        """Which size each row of `sizes` begins at.

        >>> WeightSummary.of(torch.ones(1)).edges[[0, 64, 65, 66]]
        tensor([0.0000, 0.5000, 1.0000, 2.0000], dtype=torch.float64)
        """
        return torch.cat([torch.zeros(1), torch.exp2(torch.arange(-64.0, 64.0))]).double()

    def __add__(self, other: WeightSummary) -> WeightSummary:
        return WeightSummary(self.sizes + other.sizes, max(self.largest, other.largest))


@dataclass(frozen=True)
class OverlapLimits:
    """When a log does not answer.

    Args:
        effective_sample_size: least; below it an interval is not to be trusted either.
        missing: largest share of the policy's choices that the log may lack; what weights average below 1, beyond the
            interval of that average.
        confidence: of that interval, in (0, 1).
    """

    effective_sample_size: float = 100.0
    missing: float = 0.05
    confidence: float = 0.95


def overlap_warning(
    weights: WeightSummary, limits: OverlapLimits, averages_to_one: bool = True, mean: Interval | None = None
) -> str:
    """Why the log does not tell what a policy would have earned; empty where it does.

    Under the logging policy weights average 1 where every choice of the target policy had a chance and
    propensities are right. Where choices had none, the average is the share of those that had; where it is above 1,
    the propensities are too small.

    Args:
        weights: of the log's rows.
        limits: of what is accepted.
        averages_to_one: whether they average 1 then; clipped or shrunk ones need not.
        mean: of the weights, where rows of a user depend on each other; None where rows stand alone.

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
    """Over rows."""
    mean = weights.total / weights.rows
    spread = max(weights.squares / weights.rows - mean**2, 0.0) ** 0.5
    half = float(ndtri((1 + confidence) / 2)) * spread / weights.rows**0.5
    return Interval(mean, mean - half, mean + half)
