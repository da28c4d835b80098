"""Sections of a run's report that are drawn from metrics, learning curves and the configuration."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import polars as pl
from omegaconf import DictConfig

from recsys.config.suggest import require_near_lines
from recsys.report.chart import SMALL, Series, downsampled, line_chart
from recsys.report.forest import difference_charts
from recsys.report.markup import Markup, join
from recsys.report.page import Section, collapsible, small_multiples
from recsys.report.table import metrics_table
from recsys.report.trade_off import LEAD as TRADE_OFF
from recsys.report.trade_off import trade_off_chart
from recsys.runs.artifacts import Artifact, artifact_folders
from recsys.runs.run_folder import RunFolder
from recsys.training.forecast_evaluation import CALIBRATION


@dataclass
class ResultsTable:
    """The metrics of every row with their intervals.

    Args:
        columns: metrics to show; those that no row has are left out. `*` stands for any text, as in `*_correlation`.
        names: what rows and metrics are called on the page, if not by their key.
        lower_is_better: metrics whose smallest value is the best.
        lead: what is said above the table.
    """

    columns: Sequence[str]
    names: Mapping[str, str] = field(default_factory=dict)
    lower_is_better: Sequence[str] = ()
    lead: str = ""

    def section(self, run: RunFolder) -> Section:
        """Return the table."""
        metrics = run.read_metrics()
        there = dict.fromkeys(name for cells in metrics.values() for name in cells)
        matching = [name for column in self.columns for name in there if fnmatchcase(name, column)]
        columns = list(dict.fromkeys(matching))
        return Section("Results", metrics_table(metrics, columns, None, self.names, self.lower_is_better), self.lead)


@dataclass
class PairedDifferences:
    """What each row has above each reference, with intervals over the same users.

    Args:
        metric: that is compared.
        label: what it is called on the axis.
        references: rows that all others are compared with.
        lead: what is said above the charts.
    """

    metric: str
    label: str
    references: Sequence[str]
    lead: str = ""

    def section(self, run: RunFolder) -> Section:
        """Return a chart for each reference."""
        charts = difference_charts(run.read_metrics(), self.metric, self.label, list(self.references))
        return Section("Paired differences", charts, self.lead)


@dataclass
class TradeOff:
    """What each row earns over how new, or how unlike each other, the items are that it shows.

    Args:
        lines: rows that a line joins, in this order, such as one policy at several settings, by the name of the line.
        names: what rows are called on the page, if not by their key.
        lead: what is said above the chart.
    """

    lines: Mapping[str, Sequence[str]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    lead: str = TRADE_OFF

    @staticmethod
    def check_rows(node: DictConfig, rows: Collection[str], key: str) -> None:
        """Refuse lines through rows that are mistyped."""
        require_near_lines(node.get("lines") or {}, rows, f"{key}.lines")

    def section(self, run: RunFolder) -> Section:
        """Return the chart."""
        return Section("Trade-off", trade_off_chart(run.read_metrics(), self.lines, self.names), self.lead)


@dataclass
class LearningCurves:
    """The validation metric of every training over optimizer steps, a chart for each metric.

    Args:
        lead: what is said above the charts.
    """

    lead: str = "The validation metric by which each training chose its weights."

    def section(self, run: RunFolder) -> Section:
        """Return the charts."""
        history = training_history(run)
        monitors = history["monitor"].unique(maintain_order=True)
        charts = [
            line_chart(curves(history.filter(pl.col("monitor") == monitor), monitor), monitor, "optimizer steps")
            for monitor in monitors
        ]
        return Section("Learning curves", join(*charts), self.lead)


@dataclass
class RewardDiagnostics:
    """What every training with a reward logged at its steps: reward, entropy, clipping, distance to the reference.

    Args:
        lead: what is said above the charts.
    """

    lead: str = "What reward training was watched by, step by step."

    def section(self, run: RunFolder) -> Section:
        """Return a small chart for each scalar."""
        history = training_history(run).filter(pl.col("metric").str.starts_with("train/"))
        rewarded = history.filter(pl.col("metric").is_in(["train/reward_mean", "train/pairs"]))["training"].unique()
        shown = history.filter(pl.col("training").is_in(rewarded.implode()))
        names = shown["metric"].unique(maintain_order=True).to_list()
        charts = [line_chart(curves(shown, name), name.removeprefix("train/"), "step") for name in names]
        body = small_multiples(charts) if charts else join("No training of this run had a reward.")
        return Section("Reward diagnostics", body, self.lead)


@dataclass
class Calibration:
    """Predicted against observed click rate of every row.

    Args:
        lead: what is said above the charts.
    """

    lead: str = (
        "Predicted against observed click rate: ten bins with equally many shown slots each, with 95 % intervals."
    )

    def section(self, run: RunFolder) -> Section:
        """Return a small chart for each row."""
        found = json.loads((run.stage("evaluate") / f"{CALIBRATION}.json").read_text())
        return Section("Calibration", small_multiples([reliability_chart(*one) for one in found.items()]), self.lead)


@dataclass
class Configuration:
    """The configuration that was run, folded."""

    def section(self, run: RunFolder) -> Section:
        """Return the text of `config.yaml`."""
        return Section("Configuration", collapsible("config.yaml", run.config.read_text()))


def training_history(run: RunFolder) -> pl.DataFrame:
    """Return `step`, `metric`, `value`, `training` and its `monitor` for everything that trainings logged."""
    parts = [
        pl.read_parquet(folder / "history.parquet", glob=False).with_columns(
            training=pl.lit(name), monitor=pl.lit(Artifact.read(folder).monitor)
        )
        for name, folder in artifact_folders(run).items()
        if (folder / "history.parquet").exists()
    ]
    schema = {"step": pl.Int64, "metric": pl.String, "value": pl.Float64, "training": pl.String, "monitor": pl.String}
    return pl.concat(parts) if parts else pl.DataFrame(schema=schema)


def curves(history: pl.DataFrame, metric: str) -> list[Series]:
    """Return one metric over the optimizer steps, a line for each training."""
    of_metric = history.filter(pl.col("metric") == metric)
    return [
        downsampled(Series(str(training), part["step"].to_list(), part["value"].to_list()))
        for (training,), part in of_metric.group_by("training", maintain_order=True)
    ]


def reliability_chart(name: str, read: Mapping[str, list[float | None]]) -> Markup:
    """Return a small chart of observed over predicted probability.

    Args:
        name: above the chart.
        read: the fields of a `recsys.metrics.calibration.Reliability`, as an evaluation wrote them.
    """
    one = {part: [float("nan") if value is None else value for value in values] for part, values in read.items()}
    observed = Series("observed", one["predicted"], one["observed"], one["low"], one["high"])
    series = [observed, Series("predicted", one["predicted"], one["predicted"])]
    return line_chart(series, name, "predicted probability", size=SMALL)
