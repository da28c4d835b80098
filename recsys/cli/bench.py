"""`recsys bench`: compare policies in a simulator."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig

from recsys.bench.console import comparison_table
from recsys.cli.app import application
from recsys.report.console import say, show_table
from recsys.runs.run import run_stages


def main(arguments: Sequence[str]) -> None:
    """Run the command; the last line on standard output is the run folder."""
    application("bench", run, arguments)


def run(config: DictConfig) -> None:
    """Play with a composed configuration, print the figures."""
    result = run_stages(config)
    rows = {row.split("/", 1)[1]: cells for row, cells in result.metrics.items()}
    show_table(comparison_table(rows, str(config.simulator_name)))
    say(result.folder)
