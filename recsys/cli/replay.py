"""`recsys replay`: estimate from logs what other policies would have earned."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from omegaconf import DictConfig

from recsys.cli.app import application
from recsys.data.logs.feedback_source import UNNAMED_LOG
from recsys.replay.result import estimate_tables
from recsys.replay.stages.replay import ESTIMATES
from recsys.report.console import say, show_table
from recsys.runs.run import run_stages
from recsys.runs.run_folder import RunFolder


def main(arguments: Sequence[str]) -> None:
    """Run the command; the last line on standard output is the run folder."""
    application("replay", run, arguments)


def run(config: DictConfig) -> None:
    """Run the stages of a composed configuration and print the estimates."""
    folder = RunFolder(run_stages(config).folder)
    path = config.log.get("path")
    places = {} if path is None else {UNNAMED_LOG: str(path)}
    for table in estimate_tables(pl.read_parquet(folder.path / ESTIMATES, glob=False), places):
        show_table(table)
    say(folder.path)
