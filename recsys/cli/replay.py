"""`recsys replay`: estimate what policies would have earned on a log."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from omegaconf import DictConfig
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys.cli.app import application
from recsys.replay.evaluation import remarks
from recsys.replay.stages.replay import ESTIMATES
from recsys.report.formats import number, percent, significant, with_interval
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
    title += f", whose policy has value {significant(first['on_policy_value'])}"
    if first["truth"] is not None:
        title += f"; on-policy value {with_interval(first['truth'], first['truth_low'], first['truth_high'])}"
    table = Table(box=None, title=escape(title), title_justify="left")
    table.add_column("", no_wrap=True)
    for name in ("value", "relative error", "effective sample size", "largest weight"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for row in estimates.iter_rows(named=True):
        known = not row["warning"] and row["value"] is not None
        table.add_row(
            escape(row["estimator"]),
            with_interval(row["value"], row["low"], row["high"]) if known else "no estimate",
            percent(row["relative_error"]) if known and row["relative_error"] is not None else "",
            number(row["effective_sample_size"], 0),
            significant(row["max_weight"], 3),
            escape(remarks(row)),
        )
    return table
