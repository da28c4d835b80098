"""Evaluate target policies on logs: estimates with intervals, warnings and diagnostics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

import polars as pl

from recsys.data.logs.feedback_source import FeedbackLog
from recsys.metrics.intervals import Interval
from recsys.replay.accumulate import Accumulation
from recsys.replay.diagnostics.checks import diagnostic_estimators, weight_tails
from recsys.replay.diagnostics.overlap import OverlapLimits, WeightSummary, overlap_warning
from recsys.replay.estimator_selection import EstimatorLike, resolve_estimator
from recsys.replay.intervals.fixed_sample import closed_form
from recsys.replay.intervals.methods import ClosedForm
from recsys.replay.options import ReplayOptions, TargetFactory
from recsys.replay.result import SCHEMA, ReplayResult
from recsys.replay.runner import PLAIN, ReplayRun, naming, replay


def evaluate(
    logs: FeedbackLog | Mapping[str, FeedbackLog],
    policies: Mapping[str, TargetFactory],
    estimators: Mapping[str, EstimatorLike],
    options: ReplayOptions | None = None,
) -> ReplayResult:
    """Estimate the value of target policies from logs that other policies wrote (off-policy evaluation).

    The value of a policy `π` is the mean reward that a round (a slate, an episode) would have under `π`. Every policy
    is evaluated on every log but its own, by every estimator. With `p` the logging policy, most estimators average the
    rewards `r` with importance weights `w = π(a | x) / p(a | x)`; each class states its formula and its assumption.

    An estimate has a confidence interval (`options.interval`) and, if the log does not support it, a warning: its
    effective sample size is too small, or the plain weights do not average 1 (`options.limits`). The numbers are in the
    result all the same. A log with the name of a policy was written by it: its mean reward is the policy's on-policy
    value, the truth that the estimates from other logs are compared with.

    Logs are read in batches, once for each policy, in bounded memory unless a model is fitted (`options.model`).

    Args:
        logs: one log, or several by name; of single actions, slates or episodes.
        policies: target policies by name: functions from a log to the probabilities that the policy gives its actions,
            such as `UniformTarget()` or `TableTarget(path)`.
        estimators: estimators by name, such as `IPS()`, or `Slope` families, of which the data choose a member.
        options: options; None takes the defaults of `ReplayOptions`.

    Returns:
        The estimates, one row a policy, log and estimator, and the diagnostics. `print` shows them.

    Raises:
        RequestError: a policy has no log but its own, or an estimator needs what neither the log nor the options give.

    >>> from recsys.data.logs.actions import ActionLog
    >>> from recsys.replay import IPS, OverlapLimits, UniformTarget
    >>> rows = {"action": [0, 0, 0, 1], "reward": [1.0, 0.0, 1.0, 1.0], "propensity": [0.75, 0.75, 0.75, 0.25]}
    >>> log = ActionLog("old", pl.LazyFrame(rows), pl.DataFrame({"action": [0, 1]}), 4, "")
    >>> options = ReplayOptions(limits=OverlapLimits(effective_sample_size=2))
    >>> result = evaluate(log, {"uniform": UniformTarget()}, {"ips": IPS()}, options)
    >>> round(result.estimate("uniform", "ips").value, 4)  # (2/3 + 0 + 2/3 + 2) / 4
    0.8333
    """
    options = options or ReplayOptions()
    logs = logs if isinstance(logs, Mapping) else {logs.name: logs}
    checks = diagnostic_estimators(logs)
    runs = replay(logs, policies, estimators, options, checks, own=True)
    others = [run for run in runs if run.log != run.policy]
    own = [run for run in runs if run.log == run.policy]
    return ReplayResult(
        estimates=tabulate_estimates(others, estimators, options),
        placebo=tabulate_estimates(own, estimators, options),
        checks=tabulate_estimates(others, checks, replace(options, interval=ClosedForm())),
        weight_tails=weight_tails(others),
    )


def tabulate_estimates(
    runs: Sequence[ReplayRun], estimators: Mapping[str, EstimatorLike], options: ReplayOptions
) -> pl.DataFrame:
    """Return a table of estimates, one row a run and estimator, columns as in `recsys.replay.result.SCHEMA`.

    Args:
        runs: logs joined with policies, whose sums include those of the estimators.
        estimators: estimators by name; all that were summed, or some of them.
        options: interval method, confidence and overlap limits.

    Raises:
        RequestError: an interval cannot be computed; the message names policy, log and estimator.
    """
    rows: list[dict[str, Any]] = []
    for run in runs:
        for name, estimator in estimators.items():
            with naming(f"{run.policy} on {run.log}, {name}"):
                cells = _cells(name, estimator, run.found, options)
            keys = {"policy": run.policy, "log": run.log, "estimator": name, "estimated": run.estimated}
            value = cells["value"] if getattr(estimator, "discount", 1.0) == 1.0 else None
            on_policy = {"on_policy_value": run.on_policy_value.value}
            rows.append(keys | cells | on_policy | _compared(value, run.truth))
    return pl.DataFrame(rows, schema=SCHEMA)


def _cells(name: str, estimator: EstimatorLike, found: Accumulation, options: ReplayOptions) -> dict[str, Any]:
    """Return the columns that depend on the estimator alone."""
    resolved = resolve_estimator(name, estimator, found)
    weights = resolved.statistics.weights
    interval = options.interval(resolved.estimator, resolved.statistics, options.confidence)
    shown = interval if resolved.has_interval else Interval(interval.value)
    return {
        **{key: _finite(value) for key, value in shown.to_dict().items()},
        "rounds": found.rows,
        "effective_sample_size": weights.effective,
        "max_weight": weights.largest,
        "warning": _warning(weights, found, options.limits),
        "chosen": resolved.chosen,
    }


def _warning(weights: WeightSummary, found: Accumulation, limits: OverlapLimits) -> str:
    """Return the overlap warning of an estimator.

    The effective sample size is that of the estimator's own weights. On logs of single actions, missing support shows
    in the mean of the plain weights, which clipping or shrinking does not hide; an estimator whose weights are all 1
    does not depend on it.
    """
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
    """Return None for a value that the sums leave undefined, such as a ratio of zeros."""
    return None if value is None or not isfinite(value) else value
