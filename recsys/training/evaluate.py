"""Stage: evaluate what a run trained, and write the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import polars as pl
from omegaconf import DictConfig

from recsys.atomic import write_json, write_parquet
from recsys.config.signature import locate
from recsys.config.suggest import require_near
from recsys.errors import ConfigurationError
from recsys.metrics.results import Results
from recsys.report.console import ConsoleTable, show_table
from recsys.runs.prepare import load_data
from recsys.runs.run_folder import RunFolder
from recsys.training.data_kind import check_reads


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation found.

    Args:
        metrics: `{row: {metric: {"value": v, "low": l, "high": h}}}`.
        per_user: columns `user_id`, `row`, `metric`, `seed`, `value`, for paired comparisons.
        tables: what the console shows.
        details: plain values for the report, each written as `<name>.json` into the stage's folder.
    """

    metrics: Results
    per_user: pl.DataFrame
    tables: Sequence[ConsoleTable]
    details: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class RunEvaluation(Protocol):
    """Asks the artifacts of a run on its held-out data."""

    def evaluate(self, run: RunFolder) -> EvaluationResult:
        """Return a row for each artifact of the kinds that it asks, and for each baseline.

        A class may have a static method `own_rows(node)` that returns the names of the rows that are no trainings,
        given its configuration; no training may have one of these names. An attribute `reads` is the class of the
        prepared data that it asks about; a run that prepares other data is refused. A method `check_data(data)` refuses
        prepared data that it cannot evaluate on, before anything is trained.
        """
        ...


def own_rows(evaluation: DictConfig) -> set[str]:
    """Return the names of the rows of an evaluation that are no trainings, from its configuration."""
    names = getattr(locate("evaluation._target_", evaluation["_target_"]), "own_rows", None)
    return set() if names is None else set(names(evaluation))


@dataclass
class Evaluate:
    """Evaluate, write `metrics.json` and `metrics.parquet`, and print the tables.

    Args:
        evaluation: `recsys.training.ranking_evaluation.RankingEvaluation`,
            `recsys.training.forecast_evaluation.ForecastEvaluation`, or another class with their method.
    """

    evaluation: RunEvaluation
    name: ClassVar[str] = "evaluate"
    results: ClassVar[Sequence[str]] = ("metrics.json", "metrics.parquet")

    @staticmethod
    def check_configuration(node: DictConfig, config: DictConfig) -> None:
        """Refuse an evaluation of other data, a training whose row another would replace, and a mistyped row."""
        check_reads("evaluation", node.evaluation, config)
        taken = own_rows(node.evaluation)
        for name in config.get("train") or {}:
            if name in taken:
                raise ConfigurationError(
                    f"train.{name}: the evaluation has a row '{name}' of its own; choose another name"
                )
        rows = {*taken, *map(str, config.get("train") or {})}
        for key in ("references", "best_of"):
            require_near(node.evaluation.get(key) or (), rows, f"evaluation.{key}")

    def check_data(self, run: RunFolder) -> None:
        """Refuse data that the evaluation cannot ask about, before anything is trained."""
        check = getattr(self.evaluation, "check_data", None)
        if check is not None:
            check(load_data(run))

    def run(self, run: RunFolder) -> None:
        """Evaluate."""
        found = self.evaluation.evaluate(run)
        for name, value in found.details.items():
            write_json(run.stage(self.name) / f"{name}.json", value)
        write_parquet(run.metrics_table, found.per_user)
        write_json(run.metrics, found.metrics, indent=1)
        for table in found.tables:
            show_table(table)
