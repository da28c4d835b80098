"""`recsys bench`: compare policies in a simulator."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig
from rich.console import Console

from recsys.bench.console import comparison_table
from recsys.cli.app import application
from recsys.runs.run import run_stages


def main(arguments: Sequence[str]) -> None:
    """Run the command; the last line on standard output is the run folder."""
    application("bench", run, arguments)


def run(config: DictConfig) -> None:
    """Play with a composed configuration, print the figures."""
    result = run_stages(config)
    rows = {row.split("/", 1)[1]: cells for row, cells in result.metrics.items()}
    console = Console()
    console.width = max(console.width, 120)
    console.print(comparison_table(rows, str(config.simulator_name)))
    print(result.folder)
