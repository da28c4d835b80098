"""Evaluate target policies on logs: a table of estimates with intervals and warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

import polars as pl

from recsys.data.logs.feedback_source import FeedbackLog
from recsys.metrics.intervals import Interval
from recsys.replay.accumulate import Accumulation
from recsys.replay.diagnostics.overlap import OverlapLimits, WeightSummary, overlap_warning
from recsys.replay.estimator_selection import resolve_estimator
from recsys.replay.intervals.fixed_sample import closed_form
from recsys.replay.options import ReplayOptions, TargetFactory
from recsys.replay.runner import PLAIN, ReplayRun, naming, replay

SCHEMA = {
    "policy": pl.String,
    "log": pl.String,
    "estimator": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "rounds": pl.Int64,
    "effective_sample_size": pl.Float64,
    "max_weight": pl.Float64,
    "warning": pl.String,
    "chosen": pl.String,
    "estimated": pl.Boolean,
    "on_policy_value": pl.Float64,
    "truth": pl.Float64,
    "truth_low": pl.Float64,
    "truth_high": pl.Float64,
    "relative_error": pl.Float64,
}
"""Columns: `on_policy_value` is the mean reward of the log, `truth` that of the target policy's own log.

Neither is discounted; estimates that are have no `relative_error`.
"""


def tabulate_estimates(
    replayed: Sequence[ReplayRun], estimators: Mapping[str, Any], options: ReplayOptions
) -> pl.DataFrame:
    """One row a policy, log and estimator, columns as in `SCHEMA`.

    Args:
        replayed: with sums of the estimators.
        estimators: all that were statistics, or some.
        options: how.

    Raises:
        RequestError: an interval cannot be made, by the names of policy, log and estimator.
    """
    rows: list[dict[str, Any]] = []
    for one in replayed:
        for name, estimator in estimators.items():
            with naming(f"{one.policy} on {one.log}, {name}"):
                cells = _cells(name, estimator, one.found, options)
            own = {"policy": one.policy, "log": one.log, "estimator": name, "estimated": one.estimated}
            value = cells["value"] if getattr(estimator, "discount", 1.0) == 1.0 else None
            rows.append(own | cells | {"on_policy_value": one.on_policy_value.value} | _compared(value, one.truth))
    return pl.DataFrame(rows, schema=SCHEMA)


def _cells(name: str, one: Any, found: Accumulation, options: ReplayOptions) -> dict[str, Any]:
    """What is said of one estimate."""
    answer = resolve_estimator(name, one, found)
    weights = answer.statistics.weights
    interval = options.interval(answer.estimator, answer.statistics, options.confidence)
    shown = interval if answer.has_interval else Interval(interval.value)
    return {
        **{key: _finite(value) for key, value in shown.to_dict().items()},
        "rounds": found.rows,
        "effective_sample_size": weights.effective,
        "max_weight": weights.largest,
        "warning": _warning(weights, found, options.limits),
        "chosen": answer.chosen,
    }


def _warning(weights: WeightSummary, found: Accumulation, limits: OverlapLimits) -> str:
    """By an estimator's own weights; where rounds have one action, by plain ones for what the log does not show."""
    if PLAIN not in found.weights:
        return overlap_warning(weights, limits)
    size = overlap_warning(weights, limits, averages_to_one=False)
    if size or (weights.largest == 1 and weights.total == weights.rows):
        return size
    plain = found[PLAIN]
    mean = closed_form(found.estimators[PLAIN], plain.sums, limits.confidence)
    return overlap_warning(plain.weights, replace(limits, effective_sample_size=0), mean=mean)


def _compared(value: float | None, truth: Interval | None) -> dict[str, Any]:
    if truth is None:
        return {}
    error = abs(value - truth.value) / abs(truth.value) if truth.value and value is not None else None
    return {"truth": truth.value, "truth_low": truth.low, "truth_high": truth.high, "relative_error": error}


def _finite(value: float | None) -> float | None:
    """None for what sums do not define, such as a ratio of zeros."""
    return None if value is None or not isfinite(value) else value


ESTIMATED_MARK = "propensities estimated"
"""Stands beside every figure that rests on them."""


def remarks(row: Mapping[str, Any]) -> str:
    """What is to be known of one estimate beside its figures.

    Args:
        row: columns as in `recsys.replay.evaluation.SCHEMA`.

    >>> remarks({"warning": "", "chosen": "IPS()", "estimated": True})
    'IPS(); propensities estimated'
    """
    return "; ".join(
        words for words in (row["warning"], row["chosen"], ESTIMATED_MARK if row["estimated"] else "") if words
    )


def evaluate(
    logs: FeedbackLog | Mapping[str, FeedbackLog],
    policies: Mapping[str, TargetFactory],
    estimators: Mapping[str, Any],
    options: ReplayOptions | None = None,
) -> pl.DataFrame:
    """Every policy from every log but its own, by every estimator: one row each, columns as in `SCHEMA`.

    A log that bears a policy's name was written by it: it gives the truth, which the policy's estimates from the other
    logs are compared with (`relative_error`). `warning` says why a log does not answer, and is empty where it does: the
    figures are there all the same. `chosen` says which estimator a `Slope` or `MAGIC` chose. A value that the sums do
    not define is null.

    Logs are read in batches, once for each policy, in bounded memory unless a model is fitted.

    Args:
        logs: by name, or one; rounds of one action, slates or episodes.
        policies: to be judged, by name.
        estimators: by name.
        options: how; None for the defaults.

    Raises:
        RequestError: a policy has no log but its own, or an estimator needs what is not there.
    """
    options = options or ReplayOptions()
    logs = logs if isinstance(logs, Mapping) else {logs.name: logs}
    return tabulate_estimates(replay(logs, policies, estimators, options), estimators, options)
