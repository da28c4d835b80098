"""`recsys train`: logs to checkpoints, metrics and a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from recsys.cli.app import application
from recsys.errors import ConfigurationError
from recsys.runs.distributed import distributed_context
from recsys.runs.run import run_stages
from recsys.runs.run_folder import RunFolder


def main(arguments: Sequence[str]) -> None:
    """Run the command; the last line on standard output is the run folder."""
    application("train", run, arguments)


def run(config: DictConfig) -> None:
    """Train with a composed configuration, or with the one that `run` keeps where no experiment is named."""
    result = run_stages(stored(config))
    if distributed_context().first:
        print(result.folder)


def stored(config: DictConfig) -> DictConfig:
    """The configuration to run: `run=FOLDER` alone means the one in the folder.

    Raises:
        ConfigurationError: no stage is configured; or other keys are given that would not be heeded.
    """
    if config.stage:
        return config
    if config.run is None:
        raise ConfigurationError(
            "no stage is configured; name an experiment, for instance experiment=rere/movielens_100k"
        )
    file = RunFolder(Path(config.run)).config
    if not file.exists():
        raise ConfigurationError(
            f"run: {file} is not there; give a folder that `recsys train` left, or name an experiment"
        )
    others = [one for one in HydraConfig.get().overrides.task if one.split("=")[0] not in ("run", "resume")]
    if others:
        raise ConfigurationError(
            f"{', '.join(others)}: name the experiment as well; run=FOLDER alone runs {file} as it stands"
        )
    kept = OmegaConf.load(file)
    if not isinstance(kept, DictConfig):
        raise ConfigurationError(f"{file}: expected a configuration, found a {type(kept).__name__}")
    kept.run = config.run
    return kept
