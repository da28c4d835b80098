"""`recsys bench`: compare policies in a simulator."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from recsys.cli.app import application
from recsys.runs.run import run_stages

SURE, PLAIN = ("reward", "click_rate", "regret"), ("diversity", "coverage", "steps", "latency")
"""Figures shown with their intervals, and without; `metrics.json` has all."""


def main(arguments: Sequence[str]) -> None:
    """Run the command; the last line on standard output is the run folder."""
    application("bench", run, arguments)


def run(config: DictConfig) -> None:
    """Play with a composed configuration, print the figures."""
    result = run_stages(config)
    table = Table(
        box=None, title=f"{config.simulator_name}: means a user and session, 95 % intervals", title_justify="left"
    )
    table.add_column("", no_wrap=True)
    for name in (*SURE, *PLAIN):
        table.add_column("ms a slate" if name == "latency" else name.replace("_", " "), justify="right")
    for row, cells in result.metrics.items():
        shown = [_cell(cells.get(name), name in SURE) for name in (*SURE, *PLAIN)]
        table.add_row(row.split("/", 1)[1], *shown)
    console = Console()
    console.width = max(console.width, 120)
    console.print(table)
    print(result.folder)


def _cell(cell: dict[str, float | None] | None, sure: bool) -> str:
    """A value, with its interval where it has one and `sure`.

    >>> _cell({"value": 0.25, "low": 0.2, "high": 0.3}, sure=True)
    '0.25 [0.2, 0.3]'
    """
    if cell is None or cell["value"] is None:
        return ""
    if not sure or cell["low"] is None or cell["high"] is None:
        return f"{cell['value']:.3g}"
    return f"{cell['value']:.3g} [{cell['low']:.3g}, {cell['high']:.3g}]"
