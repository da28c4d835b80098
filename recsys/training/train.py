"""Train from Python as `recsys train` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from recsys.config.compose import compose
from recsys.config.settings import RunSettings
from recsys.errors import ConfigurationError
from recsys.runs.run import RunResult, run_stages
from recsys.runs.run_folder import RunFolder
from recsys.stored import Trusted, check_stored_run, trusting


def train(overrides: Sequence[str] | DictConfig) -> RunResult:
    """Prepare, train, evaluate and report, as the configuration says.

    Random generators of the process (torch, numpy, `random`) are left as they were. Runs follow one after the other:
    two threads cannot compose configurations at once.

    Args:
        overrides: what follows `recsys train` on the command line, for instance
            `["experiment=rere/movielens_100k", "seed=1"]`; or a composed configuration. `["run=FOLDER"]` alone goes on
            with the configuration that the folder keeps.

    Returns:
        The run folder, the metrics of every row, and `load(name)` for what a training left.

    Raises:
        ConfigurationError: no experiment is named, or the configuration has a wrong key; nothing was run.
        RequestError: the data or a setting are refused.

    >>> train(["experiment=rere/movielens_10k"])
    Traceback (most recent call last):
    recsys.errors.ConfigurationError: experiment=rere/movielens_10k: ...
    """
    from lightning.pytorch.utilities.seed import isolate_rng  # a command that is refused needs no torch

    with isolate_rng():
        if isinstance(overrides, DictConfig):
            return run_stages(stored_configuration(overrides, []))
        return run_stages(stored_configuration(compose(overrides), overrides))


def stored_configuration(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """Return the configuration to run: `run=FOLDER` alone means the one in the folder.

    Args:
        config: composed.
        overrides: what it was composed from.

    Raises:
        ConfigurationError: no stage is configured; or other keys are given that would not be heeded.
    """
    if config.get("stage"):
        return config
    if config.get("run") is None:
        raise ConfigurationError(
            "no stage is configured; name an experiment, for instance experiment=rere/movielens_100k"
        )
    file = RunFolder(Path(config.run)).config
    if not file.exists():
        raise ConfigurationError(
            f"run: {file} is not there; give a folder that `recsys train` left, or name an experiment"
        )
    others = [one for one in overrides if one.split("=")[0] not in ("run", "resume", "modules")]
    if others:
        raise ConfigurationError(
            f"{', '.join(others)}: name the experiment as well; run=FOLDER alone runs {file} as it stands"
        )
    try:
        kept = OmegaConf.load(file)
    except (OSError, ValueError, YAMLError) as error:
        raise ConfigurationError(f"{file} cannot be read ({error}); name the experiment instead") from error
    if not isinstance(kept, DictConfig):
        raise ConfigurationError(f"{file}: expected a configuration, found a {type(kept).__name__}")
    kept.update({"run": config.run, "resume": False, "modules": config.get("modules", [])})
    with trusting(Trusted(modules=frozenset(RunSettings.of(kept).modules))):
        check_stored_run(kept, file)
    return kept
