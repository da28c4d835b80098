"""Stage that evaluates every target policy on every log."""

from __future__ import annotations

import json
import logging as python_logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import polars as pl

from recsys.atomic import write_parquet, write_text
from recsys.config.suggest import suggestion
from recsys.data.logs.feedback_source import FeedbackLog
from recsys.data.logs.slates import SlateFeedbackLog
from recsys.errors import ConfigurationError, ContractError, RequestError
from recsys.protocols import require_protocol
from recsys.ranges import between, is_seed
from recsys.replay.actions.marginal import ClusteredEstimator
from recsys.replay.actions.reward_model import RewardModel
from recsys.replay.diagnostics.overlap import OverlapLimits
from recsys.replay.episodes.fitted_models import FittedValues
from recsys.replay.episodes.magic import MAGIC
from recsys.replay.estimator import Estimator
from recsys.replay.estimator_selection import EstimatorLike, Slope
from recsys.replay.evaluation import evaluate
from recsys.replay.intervals.methods import IntervalMethod
from recsys.replay.options import ReplayOptions, TargetFactory
from recsys.replay.policy_selection import choose_policy
from recsys.replay.propensities.estimation import EstimatedPropensities, estimate_propensities
from recsys.replay.result import estimate_metrics
from recsys.replay.slates.fitted_models import RewardToGoModel
from recsys.replay.targets.actions import TargetPolicy
from recsys.runs.run_folder import RunFolder

logger = python_logging.getLogger(__name__)

ESTIMATES = "estimates.parquet"
"""File of the estimates in the run folder, columns as in `recsys.replay.result.SCHEMA`."""


class Replay:
    """Evaluate target policies on logs, or select the best of them, and write estimates and diagnostics.

    Args:
        sources: sources of the logs, by name; a log with the name of a policy was written by it.
        policies: target policies by name: functions from a log to probabilities (`recsys.replay.targets.policies`).
        estimators: estimators by name.
        interval: method of the confidence intervals.
        propensities: `logged`, or `estimated` from the logs' own choices (`recsys.replay.propensities.estimation`).
        model: model of rewards or values; None where no estimator needs one.
        logging: policies that wrote the logs, by the names of the logs, where estimators need more than the log says.
        confidence: level of the intervals, in (0, 1).
        limits: overlap limits, beyond which an estimate has a warning; None for `OverlapLimits()`.
        select: whether the best policy is selected on one half of the users and reported from the other.
        selector: name of the estimator that selects; the others report, if there are others.
        risk: probability that the selected policy's value is below its bound, in (0, 0.5).
        seed: seed of the cross-fitting folds.

    Raises:
        ConfigurationError: no policy or no estimator is configured, or the selector is not among the estimators.
    """

    results: ClassVar[Sequence[str]] = ("metrics.json", ESTIMATES)

    def __init__(
        self,
        sources: Mapping[str, Any],
        policies: Mapping[str, TargetFactory],
        estimators: Mapping[str, EstimatorLike],
        interval: IntervalMethod,
        propensities: Literal["logged", "estimated"] = "logged",
        model: RewardModel | RewardToGoModel | FittedValues | None = None,
        logging: Mapping[str, TargetFactory] | None = None,
        confidence: float = 0.95,
        limits: OverlapLimits | None = None,
        select: bool = False,
        selector: str = "ips",
        risk: float = 0.05,
        seed: int = 0,
    ) -> None:
        between(0, 1, confidence=confidence)
        between(0, 0.5, risk=risk)
        is_seed(seed=seed)
        for group, known in (("policy", policies), ("estimator", estimators)):
            if not known:
                raise ConfigurationError(f"{group}: none is configured; name one or more, {group}=[NAME,NAME]")
        for name, estimator in estimators.items():
            if not isinstance(estimator, Slope | MAGIC | ClusteredEstimator):
                try:
                    require_protocol(estimator, Estimator)
                except ContractError as error:
                    raise ConfigurationError(f"estimators.{name}: {error}") from error
        if select and selector not in estimators:
            raise ConfigurationError(f"selector={selector}: no such estimator; {suggestion(selector, estimators)}")
        self.sources = sources
        self.policies = policies
        self.estimators = estimators
        self.estimated = propensities == "estimated"
        self.options = ReplayOptions(interval, confidence, limits or OverlapLimits(), model, logging, seed=seed)
        self.select = select
        self.selector = selector
        self.risk = risk

    def run(self, run: RunFolder) -> None:
        """Write `estimates.parquet`, `metrics.json` and, into the stage's folder, the diagnostics of the report."""
        logs = {name: source.log() for name, source in self.sources.items()}
        for name, one in logs.items():
            logger.info("%s: %s", name, ", ".join(f"{key} {value:,}" for key, value in one.summary.items()))
        folder, options = run.stage("replay"), self.options
        if self.estimated:
            found = {name: _estimated(one, options.seed) for name, one in logs.items()}
            logs = {name: one.log for name, one in found.items()}
            options = replace(options, logging={name: _whatever(one.propensities) for name, one in found.items()})
            _write_calibration(found, folder)
        if self.select:
            self._choose(logs, options, run)
        else:
            self._compare(logs, options, run)

    def _compare(self, logs: Mapping[str, FeedbackLog], options: ReplayOptions, run: RunFolder) -> None:
        """Evaluate every policy on every log."""
        folder = run.stage("replay")
        result = evaluate(logs, self.policies, self.estimators, options)
        _write(run, result.estimates)
        write_parquet(folder / "placebo.parquet", result.placebo)
        write_parquet(folder / "checks.parquet", result.checks)
        write_parquet(folder / "weights.parquet", result.weight_tails)

    def _choose(self, logs: Mapping[str, FeedbackLog], options: ReplayOptions, run: RunFolder) -> None:
        """Select the best policy and report it by the other estimators, or by all if there is no other."""
        selector = self.estimators[self.selector]
        others = {name: one for name, one in self.estimators.items() if name != self.selector} or self.estimators
        choice = choose_policy(logs, self.policies, selector, others, options, self.risk)
        told = "selected policy: %s, value at least %.4g with probability %g"
        logger.info(told, choice.policy, choice.low, 1 - self.risk)
        write_parquet(run.stage("replay") / "considered.parquet", choice.considered)
        _write(run, choice.report)


def _write(run: RunFolder, table: pl.DataFrame) -> None:
    write_parquet(run.path / ESTIMATES, table)
    write_text(run.metrics, json.dumps(estimate_metrics(table), indent=2, allow_nan=False))


def _estimated(log: FeedbackLog, seed: int) -> EstimatedPropensities:
    if isinstance(log, SlateFeedbackLog):
        raise RequestError(f"{log.name}: propensities of slates cannot be estimated: take log.propensities=logged")
    return estimate_propensities(log, seed=seed)


def _whatever(target: TargetPolicy) -> TargetFactory:
    """Return a target factory that gives the same policy for every log."""
    return lambda log: target


def _write_calibration(found: Mapping[str, EstimatedPropensities], folder: Path) -> None:
    """Write how well each log's estimated propensities agree with its choices."""
    tables = [one.calibration.table().insert_column(0, pl.lit(name).alias("log")) for name, one in found.items()]
    write_parquet(folder / "calibration.parquet", pl.concat(tables))
    rows = [
        {
            "log": name,
            "inverse": one.calibration.inverse,
            "inverse_error": one.calibration.inverse_error,
            "actions": one.calibration.actions,
            "error": one.calibration.error,
        }
        for name, one in found.items()
    ]
    write_parquet(folder / "propensities.parquet", pl.DataFrame(rows))
