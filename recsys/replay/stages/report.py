"""Stage that writes the report page of a replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl
from omegaconf import OmegaConf

from recsys.atomic import write_text
from recsys.replay.diagnostics.checks import CLIP, INVERSE_PROPENSITY
from recsys.replay.result import ESTIMATED_MARK, remarks
from recsys.replay.stages.replay import ESTIMATES
from recsys.report.chart import Series, line_chart
from recsys.report.forest import Estimate, forest_chart
from recsys.report.formats import interval, number, percent, significant
from recsys.report.markup import Markup, join
from recsys.report.page import Section, collapsible, page, paragraph
from recsys.report.table import plain_table
from recsys.runs.run_folder import RunFolder

PLACES = 4

INVERSE = "If the propensities are right, the mean of one over the propensity is the number of possible actions."
ESTIMATED = (
    "The log's propensities were estimated from its own choices, each by a model that had not seen the user, and every"
    " figure here rests on them. They are right only if all that the logging policy looked at is in the context, which"
    " no table can show. In each bin the share that was chosen ought to be the mean probability."
)


def inverse_propensity_section(table: pl.DataFrame, confidence: float) -> Markup:
    """Return a table of the mean of one over the propensity, one row a log.

    Args:
        table: estimates of the diagnostic estimators.
        confidence: level of their intervals.
    """
    known = table.filter(pl.col("estimator") == INVERSE_PROPENSITY).unique("log", maintain_order=True)
    rows = [
        [row["log"], significant(row["value"]), interval(row["low"], row["high"])]
        for row in known.iter_rows(named=True)
    ]
    return plain_table(["log", "mean of one over the propensity", f"{percent(confidence, 0)} interval"], rows)


def estimated_propensity_section(logs: pl.DataFrame, bins: pl.DataFrame) -> Markup:
    """Return tables of how well estimated propensities agree with the choices of the log.

    Args:
        logs: summary of the calibration, one row a log.
        bins: reliability tables of the logs.
    """
    rows = [
        [
            row["log"],
            f"{significant(row['inverse'])} ± {significant(row['inverse_error'], 2)}",
            significant(row["actions"]),
            significant(row["error"]),
        ]
        for row in logs.iter_rows(named=True)
    ]
    head = ["log", "mean of one over the propensity", "actions that could be chosen", "calibration error"]
    cells = [
        [
            row["log"],
            f"{significant(row['low'])} to {significant(row['high'])}",
            number(row["pairs"], 0),
            number(row["predicted"], PLACES),
            number(row["chosen"], PLACES),
        ]
        for row in bins.iter_rows(named=True)
    ]
    return join(
        plain_table(head, rows),
        plain_table(["log", "probability", "rounds and actions", "mean probability", "share chosen"], cells),
    )


@dataclass
class ReplayReport:
    """Write a report with estimates, warnings, the tail of the weights, the effect of clipping, and the placebo."""

    results: ClassVar[Sequence[str]] = ("report.html",)

    def run(self, run: RunFolder) -> None:
        """Write `report.html`."""
        config = OmegaConf.load(run.config)
        table = pl.read_parquet(run.path / ESTIMATES, glob=False)
        folder, confidence = run.stage("replay"), OmegaConf.select(config, "confidence", default=0.95)
        tables = {file.stem: pl.read_parquet(file, glob=False) for file in sorted(folder.glob("*.parquet"))}
        sections = [Section("Values", join(*(_values(part) for part in _parts(table))), VALUES), _warnings(table)]
        if "considered" in tables:
            sections.insert(0, Section("Selection", _considered(tables["considered"], table), CHOICE))
        if len(tables.get("weights", ())):
            sections.append(Section("Weights", join(*(_tail(part) for part in _parts(tables["weights"]))), TAIL))
        if len(tables.get("checks", ())):
            sections.append(Section("Clipping", join(*(_clipped(part) for part in _parts(tables["checks"]))), CLIPPING))
            sections.append(Section("Propensities", inverse_propensity_section(tables["checks"], confidence), INVERSE))
        if "calibration" in tables:
            known = estimated_propensity_section(tables["propensities"], tables["calibration"])
            sections.append(Section("Estimated propensities", known, ESTIMATED))
        if len(tables.get("placebo", ())):
            sections.append(Section("Placebo", join(*(_values(part) for part in _parts(tables["placebo"]))), PLACEBO))
        sections.append(Section("Configuration", collapsible("config.yaml", run.config.read_text())))
        facts = {
            "logs": ", ".join(table["log"].unique(maintain_order=True)),
            "rounds": " and ".join(number(rounds, 0) for rounds in table["rounds"].unique(maintain_order=True)),
            "policies": ", ".join(table["policy"].unique(maintain_order=True)),
            "propensities": "estimated" if table["estimated"].any() else "logged",
        }
        write_text(run.report, page(str(config.name), sections, SUBTITLE, facts))


SUBTITLE = "Off-policy estimates of what target policies earn, from logs of other policies"
VALUES = (
    "Estimated value of a round, by estimator. The vertical line is the on-policy value of the target policy where it"
    " has a log of its own, otherwise that of the logging policy; a coloured interval excludes it."
)
CHOICE = "The policy with the highest lower bound on one half of the users; everything below is from the other half."
TAIL = (
    "Share of the rounds with a weight of at least a size, and their share of all weight: if a few rounds carry most of"
    " the weight, the estimate rests on them."
)
CLIPPING = (
    "The IPS estimate with weights clipped at a limit: if it still changes at the right end, it rests on a few rounds."
)
PLACEBO = (
    "Every policy evaluated on its own log, beside its on-policy value. Where they differ, the logged propensities are"
    " not those of this policy."
)
SIZES = "The effective sample size is the number of rounds of equal weight that would tell as much."


def _parts(table: pl.DataFrame) -> list[pl.DataFrame]:
    return table.partition_by("policy", "log", maintain_order=True)


def _title(part: pl.DataFrame) -> str:
    marked = "estimated" in part.columns and part["estimated"][0]
    return f"{part['policy'][0]}, evaluated on the log {part['log'][0]}" + (f", {ESTIMATED_MARK}" if marked else "")


def _values(part: pl.DataFrame) -> Markup:
    answered = part.filter(pl.col("warning") == "", pl.col("value").is_not_null()).to_dicts()
    rows = [Estimate(row["estimator"], row["value"], row["low"], row["high"]) for row in answered]
    truth, level = part["truth"][0], part["on_policy_value"][0]
    if truth is not None:
        level = truth
        rows.insert(0, Estimate("on-policy value", truth, part["truth_low"][0], part["truth_high"][0]))
    if not answered:
        return paragraph(f"{_title(part)}: no estimate. {part['warning'][0]}.")
    return forest_chart(rows, _title(part), "value of a round", PLACES, level=level)


def _warnings(table: pl.DataFrame) -> Section:
    rows = [
        [
            f"{row['policy']}, {row['estimator']}",
            row["log"],
            number(row["effective_sample_size"], 0),
            significant(row["max_weight"], 3),
            "" if row["relative_error"] is None else percent(row["relative_error"]),
            ("no estimate: " if row["warning"] else "") + remarks(row),
        ]
        for row in table.iter_rows(named=True)
    ]
    head = ["", "log", "effective sample size", "largest weight", "relative error", ""]
    return Section(
        "Diagnostics",
        plain_table(head, rows),
        SIZES,
    )


def _considered(table: pl.DataFrame, report: pl.DataFrame) -> Markup:
    rows = [
        [row["policy"], row["log"], *(number(row[name], PLACES) for name in ("value", "low")), row["warning"]]
        for row in table.iter_rows(named=True)
    ]
    chosen = paragraph(f"Selected: {report['policy'][0]}.")
    return join(chosen, plain_table(["policy", "log", "estimate", "lower bound", "warning"], rows))


def _tail(part: pl.DataFrame) -> Markup:
    size = part["weight"].clip(lower_bound=2.0**-10).log(2).to_list()
    series = [Series("rounds", size, part["rounds"].to_list()), Series("weight", size, part["weight_share"].to_list())]
    return line_chart(series, _title(part), "weight, as a power of two")


def _clipped(part: pl.DataFrame) -> Markup:
    clipped = part.filter(pl.col("estimator").str.starts_with(CLIP), pl.col("value").is_not_null())
    rows: dict[str, list[Any]] = clipped.to_dict(as_series=False)
    limits = pl.Series([float(name.removeprefix(CLIP)) for name in rows["estimator"]]).log(10).to_list()
    truth = part["truth"][0]
    levels = {} if truth is None else {"truth": truth}
    series = Series("clipped IPS", limits, rows["value"], rows["low"], rows["high"])
    return line_chart([series], _title(part), "limit, as a power of ten", levels)
