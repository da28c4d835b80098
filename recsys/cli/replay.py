"""`recsys replay`: estimate from logs what other policies would have earned."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from omegaconf import DictConfig
from rich.console import Console

from recsys.cli.app import application
from recsys.replay.result import WIDTH, estimate_tables
from recsys.replay.stages.replay import ESTIMATES
from recsys.runs.run import run_stages
from recsys.runs.run_folder import RunFolder


def main(arguments: Sequence[str]) -> None:
    """Run the command; the last line on standard output is the run folder."""
    application("replay", run, arguments)


def run(config: DictConfig) -> None:
    """Run the stages of a composed configuration and print the estimates."""
    folder = RunFolder(run_stages(config).folder)
    console = Console()
    console.width = max(console.width, WIDTH)
    for table in estimate_tables(pl.read_parquet(folder.path / ESTIMATES)):
        console.print(table)
    print(folder.path)
