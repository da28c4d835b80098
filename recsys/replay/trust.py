"""Whether a log can tell what a policy would have earned."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.special import ndtri

from recsys.metrics.intervals import Interval
from recsys.replay.weight_summary import WeightSummary


@dataclass(frozen=True)
class Limits:
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


def no_answer(weights: WeightSummary, limits: Limits, whole: bool = True, mean: Interval | None = None) -> str:
    """Why the log does not tell what a policy would have earned; empty where it does.

    Under the logging policy weights average 1 where every choice of the policy to be judged had a chance and
    propensities are right. Where choices had none, the average is the share of those that had; where it is above 1,
    the propensities are too small.

    Args:
        weights: of the log's rows.
        limits: of what is accepted.
        whole: whether they average 1 then; clipped or shrunk ones need not.
        mean: of the weights, where rows of a user depend on each other; None where rows stand alone.

    >>> import torch
    >>> no_answer(WeightSummary.of(torch.ones(50)), Limits())
    'effective sample size 50, at least 100 is asked'
    >>> no_answer(WeightSummary.of(torch.tensor([0.5, 0.7]).repeat(500)), Limits())
    'weights average 0.600 [0.594, 0.606] where 1 is expected: the policy makes choices that the log does not show'
    """
    if weights.effective < limits.effective_sample_size:
        return f"effective sample size {weights.effective:.3g}, at least {limits.effective_sample_size:g} is asked"
    mean = mean or _mean(weights, limits.confidence)
    if not whole or mean.low is None or mean.high is None:
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
