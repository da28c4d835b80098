"""The table of a comparison, as the console shows it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from rich.markup import escape
from rich.table import Table

from recsys.metrics.results import Results
from recsys.report.formats import significant, with_interval

WITH_INTERVAL, PLAIN = ("reward", "click_rate", "regret"), ("diversity", "coverage", "steps", "latency")
"""Figures shown with their intervals, and without; `metrics.json` has all."""


def comparison_table(metrics: Results, simulator: str) -> Table:
    """Return one row for each policy.

    Args:
        metrics: of each policy, by its name.
        simulator: its name.
    """
    title = f"{escape(simulator)}: means a user and session, 95 % intervals"
    table = Table(box=None, title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    for name in (*WITH_INTERVAL, *PLAIN):
        table.add_column("ms a slate" if name == "latency" else name.replace("_", " "), justify="right")
    for row, cells in metrics.items():
        shown = [_cell(cells.get(name), name in WITH_INTERVAL) for name in (*WITH_INTERVAL, *PLAIN)]
        table.add_row(escape(row), *shown)
    return table


def _cell(cell: Mapping[str, float | None] | None, interval: bool) -> str:
    if cell is None or cell["value"] is None:
        return ""
    ends = (cell["low"], cell["high"]) if interval else (None, None)
    return with_interval(cell["value"], *ends, partial(significant, digits=3))
