"""Stage: every policy beside every log."""

from __future__ import annotations

import json
import logging as python_logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import polars as pl

from recsys.errors import ConfigurationError
from recsys.replay.checks import checks, tails
from recsys.replay.choose import choose
from recsys.replay.evaluate import Manner, Policy, estimates, replay
from recsys.replay.interval import IntervalOf
from recsys.replay.reward_model import RewardModel
from recsys.replay.trust import Limits
from recsys.train.fingerprint import write_text
from recsys.train.nearest import suggestion
from recsys.train.run_folder import RunFolder

logger = python_logging.getLogger(__name__)

ESTIMATES = "estimates.parquet"
"""Every estimate, columns as in `recsys.replay.evaluate.SCHEMA`."""


class Replay:
    """Estimates, and what they are to be trusted for.

    Args:
        sources: of logs, by name; a log with a policy's name was written by it.
        policies: to be judged, by name; a log → its probabilities (`recsys.replay.targets.named`).
        estimators: by name.
        interval: around each estimate.
        model: learns what actions earn; None where no estimator needs it.
        logging: the policies that wrote the logs, by the logs' names, where every action's probability is needed.
        confidence: of the intervals, in (0, 1).
        limits: when a log does not answer; None for `Limits()`.
        select: whether the best policy is chosen, on one half of the users, and reported from the other.
        selector: the name of the estimator that chooses.
        risk: with which the chosen policy may earn less than the bound it was chosen by, in (0, 1).
        seed: of the folds that the model is fitted in.
    """

    results: ClassVar[Sequence[str]] = ("metrics.json", ESTIMATES)
    inputs: ClassVar[Sequence[str]] = ()

    def __init__(
        self,
        sources: Mapping[str, Any],
        policies: Mapping[str, Policy],
        estimators: Mapping[str, Any],
        interval: IntervalOf,
        model: RewardModel | None = None,
        logging: Mapping[str, Policy] | None = None,
        confidence: float = 0.95,
        limits: Limits | None = None,
        select: bool = False,
        selector: str = "ips",
        risk: float = 0.05,
        seed: int = 0,
    ) -> None:
        if select and selector not in estimators:
            raise ConfigurationError(f"selector={selector}: no such estimator; {suggestion(selector, estimators)}")
        self.sources = sources
        self.policies = policies
        self.estimators = estimators
        self.manner = Manner(interval, confidence, limits or Limits(), model, logging, seed=seed)
        self.select = select
        self.selector = selector
        self.risk = risk

    def run(self, run: RunFolder) -> None:
        """Write `estimates.parquet` and `metrics.json`, and in the stage's folder what the report shows beside."""
        logs = {name: source.log() for name, source in self.sources.items()}
        for name, one in logs.items():
            logger.info("%s: %s", name, ", ".join(f"{key} {value:,}" for key, value in one.summary.items()))
        folder = run.stage("replay")
        if self.select:
            selector = self.estimators[self.selector]
            choice = choose(logs, self.policies, selector, self.estimators, self.manner, self.risk)
            told = "chosen: %s, which earns at least %.4g but for a risk of %g"
            logger.info(told, choice.policy, choice.low, self.risk)
            choice.considered.write_parquet(folder / "considered.parquet")
            self._write(run, choice.report)
            return
        beside = checks(logs)
        replayed = replay(logs, self.policies, {**self.estimators, **beside}, self.manner)
        others = [one for one in replayed if one.log != one.policy]
        own = [one for one in replayed if one.log == one.policy]
        self._write(run, estimates(others, self.estimators, self.manner))
        estimates(own, self.estimators, self.manner).write_parquet(folder / "placebo.parquet")
        estimates(others, beside, self.manner).write_parquet(folder / "checks.parquet")
        tails(others).write_parquet(folder / "weights.parquet")

    def _write(self, run: RunFolder, table: pl.DataFrame) -> None:
        aside = run.path / f"{ESTIMATES}.aside"
        table.write_parquet(aside)
        aside.replace(run.path / ESTIMATES)
        write_text(run.metrics, json.dumps(metrics(table), indent=2))


def metrics(table: pl.DataFrame) -> dict[str, dict[str, dict[str, float | None]]]:
    """As `metrics.json` has it: rows `<policy>/<estimator>`, and `<policy>/on_policy` where the truth is in the log.

    A value of which the log does not tell is None. Where a policy is judged by several logs, the log is named too.

    Args:
        table: columns as in `recsys.replay.evaluate.SCHEMA`.
    """
    several = table.select(pl.struct("policy", "log").n_unique() > pl.col("policy").n_unique()).item()
    rows: dict[str, dict[str, dict[str, float | None]]] = {}
    for row in table.iter_rows(named=True):
        if row["truth"] is not None:
            truth = {"value": row["truth"], "low": row["truth_low"], "high": row["truth_high"]}
            rows[f"{row['policy']}/on_policy"] = {"value": truth}
        name = f"{row['policy']}/{row['estimator']}" + (f"@{row['log']}" if several else "")
        told = {key: None if row["doubt"] else row[key] for key in ("value", "low", "high")}
        rows[name] = {"value": told} | {
            key: {"value": row[key], "low": None, "high": None}
            for key in ("effective_sample_size", "max_weight", "relative_error")
            if row[key] is not None
        }
    return rows
