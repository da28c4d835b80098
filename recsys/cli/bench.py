"""`recsys bench`: compare policies in a simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from omegaconf import DictConfig
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys.cli.app import application
from recsys.report.formats import significant, with_interval
from recsys.runs.run import run_stages

WITH_INTERVAL, PLAIN = ("reward", "click_rate", "regret"), ("diversity", "coverage", "steps", "latency")
"""Figures shown with their intervals, and without; `metrics.json` has all."""


def main(arguments: Sequence[str]) -> None:
    """Run the command; the last line on standard output is the run folder."""
    application("bench", run, arguments)


def run(config: DictConfig) -> None:
    """Play with a composed configuration, print the figures."""
    result = run_stages(config)
    title = f"{escape(str(config.simulator_name))}: means a user and session, 95 % intervals"
    table = Table(box=None, title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    for name in (*WITH_INTERVAL, *PLAIN):
        table.add_column("ms a slate" if name == "latency" else name.replace("_", " "), justify="right")
    for row, cells in result.metrics.items():
        shown = [_cell(cells.get(name), name in WITH_INTERVAL) for name in (*WITH_INTERVAL, *PLAIN)]
        table.add_row(escape(row.split("/", 1)[1]), *shown)
    console = Console()
    console.width = max(console.width, 120)
    console.print(table)
    print(result.folder)


def _cell(cell: Mapping[str, float | None] | None, interval: bool) -> str:
    if cell is None or cell["value"] is None:
        return ""
    ends = (cell["low"], cell["high"]) if interval else (None, None)
    return with_interval(cell["value"], *ends, partial(significant, digits=3))
