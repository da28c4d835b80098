"""`recsys train`: logs to checkpoints, metrics and a report."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from recsys.cli.app import application
from recsys.report.console import say
from recsys.runs.distributed import distributed_context
from recsys.training.train import stored_configuration, train


def main(arguments: Sequence[str]) -> None:
    """Run the command; the last line on standard output is the run folder."""
    application("train", run, arguments)


def run(config: DictConfig) -> None:
    """Train with a composed configuration, or with the one that `run` keeps if no experiment is named."""
    result = train(stored_configuration(config, HydraConfig.get().overrides.task))
    if distributed_context().first:
        say(result.folder)
