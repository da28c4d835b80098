"""`recsys prepare`: raw data to tables, the first stage of an experiment alone."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig

from recsys.cli.app import application
from recsys.cli.train import run


def main(arguments: Sequence[str]) -> None:
    """Run the command; it takes what `recsys train` takes."""
    application("train", only_prepare, arguments)


def only_prepare(config: DictConfig) -> None:
    """Run the stage `prepare` of a composed configuration."""
    config.stages = ["prepare"]
    run(config)
