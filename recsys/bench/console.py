"""The table of a comparison, as the console shows it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from recsys.bench.metrics import CORRELATION, shown_figures
from recsys.metrics.results import Results
from recsys.report.console import Column, ConsoleTable
from recsys.report.formats import significant, with_interval

WITH_INTERVAL = ("reward", "click_rate", "regret")
"""Figures shown with their intervals, as correlations are; `metrics.json` has all."""


def comparison_table(metrics: Results, simulator: str) -> ConsoleTable:
    """Return one row for each policy.

    Args:
        metrics: of each policy, by its name.
        simulator: its name.
    """
    names = shown_figures(metrics)
    heads = ["ms a slate" if name == "latency" else name.replace("_", " ") for name in names]
    rows = [[row, *(_cell(cells.get(name), _with_interval(name)) for name in names)] for row, cells in metrics.items()]
    columns = [Column("", words=True), *map(Column, heads)]
    return ConsoleTable(columns, rows, f"{simulator}: means a user and session, 95 % intervals", lines="none")


def _with_interval(name: str) -> bool:
    return name in WITH_INTERVAL or name.endswith(CORRELATION)


def _cell(cell: Mapping[str, float | None] | None, interval: bool) -> str:
    if cell is None or cell["value"] is None:
        return ""
    ends = (cell["low"], cell["high"]) if interval else (None, None)
    return with_interval(cell["value"], *ends, partial(significant, digits=3))
