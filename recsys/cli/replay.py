"""`recsys replay`: estimate what policies would have earned on a log."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from recsys.cli.app import application
from recsys.replay.evaluation import remarks
from recsys.replay.stages.replay import ESTIMATES
from recsys.runs.run import run_stages
from recsys.runs.run_folder import RunFolder


def main(arguments: Sequence[str]) -> None:
    """Run the command; the last line on standard output is the run folder."""
    application("replay", run, arguments)


def run(config: DictConfig) -> None:
    """Replay with a composed configuration, print the estimates."""
    folder = RunFolder(run_stages(config).folder)
    console = Console()
    console.width = max(console.width, 140)
    estimates = pl.read_parquet(folder.path / ESTIMATES)
    for part in estimates.partition_by("policy", "log", maintain_order=True):
        console.print(estimates_table(part))
    print(folder.path)


def estimates_table(estimates: pl.DataFrame) -> Table:
    """Every estimate of one policy from one log; above them what the log earned and, where it is known, the truth."""
    first = estimates.row(0, named=True)
    title = f"{first['policy']}, evaluated on the log {first['log']}"
    title += f", whose policy has value {first['on_policy_value']:.4g}"
    if first["truth"] is not None:
        title += f"; on-policy value {_sure(first['truth'], first['truth_low'], first['truth_high'])}"
    table = Table(box=None, title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    for name in ("value", "relative error", "effective sample size", "largest weight"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for row in estimates.iter_rows(named=True):
        size, largest = row["effective_sample_size"], row["max_weight"]
        table.add_row(
            row["estimator"],
            "no estimate" if row["warning"] or row["value"] is None else _sure(row["value"], row["low"], row["high"]),
            "" if row["relative_error"] is None or row["warning"] else f"{row['relative_error']:.1%}",
            "" if size is None else f"{size:,.0f}",
            "" if largest is None else f"{largest:.3g}",
            remarks(row),
        )
    return table


def _sure(value: float, low: float | None, high: float | None) -> str:
    """A value with its interval where it has one.

    >>> _sure(0.25, 0.2, 0.3)
    '0.25 [0.2, 0.3]'
    """
    if low is None or high is None:
        return f"{value:.4g}"
    return f"{value:.4g} [{low:.4g}, {high:.4g}]"
