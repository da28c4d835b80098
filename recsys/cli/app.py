"""A command as a Hydra application: composition, `--multirun`, `--cfg job`, `--help` are Hydra's, errors are ours."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from recsys.config.compose import explain_hydra_error
from recsys.config.folders import configuration_folder, job_folder
from recsys.errors import ConfigurationError

MULTIRUN = ("--multirun", "-m")


def application(config_name: str, task: Callable[[DictConfig], None], arguments: Sequence[str]) -> None:
    """Compose `config_name` with the overrides in `arguments` and give it to `task`; once a job with `--multirun`.

    Raises:
        ConfigurationError: an override or an option of a group that is not there.
        Exception: whatever `task` raises, as it is; a sweep ends with its first failure.
    """
    failures: list[Exception] = []
    command_line = sys.argv
    sweeps, used = bool({*MULTIRUN} & {*arguments}), set[str]()

    def job(config: DictConfig) -> None:
        """Run the task, seeing the command line as it was given."""
        sys.argv = command_line
        try:
            if (own := config.get("run")) is not None and sweeps and config_name != "recommend":
                if str(own) in used:
                    raise ConfigurationError(_one_folder(str(own)))
                used.add(str(own))
            task(config)
        except Exception as error:
            failures.append(error)
            raise SystemExit from None

    arguments = _flags_first(arguments)
    _refuse_one_folder_for_all(arguments)
    folder = job_folder(configuration_folder(), config_name)
    entry = hydra.main(version_base="1.3", config_path=str(folder), config_name=config_name)(job)
    overrides = [one for one in arguments if _is_override(one)]
    try:
        with _as_hydra_expects(arguments):
            entry()
    except SystemExit:
        if failures:
            raise failures[0] from None
        raise
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise explain_hydra_error(error, config_name, overrides) from None


def _is_override(argument: str) -> bool:
    return ("=" in argument or argument.startswith("~")) and not argument.startswith("-")


def _flags_first(arguments: Sequence[str]) -> list[str]:
    """Put Hydra's flags before the overrides: it finds no override behind a flag in their midst.

    >>> _flags_first(["seed=0,1", "--multirun", "limit=2", "--config-dir", "conf"])
    ['--multirun', '--config-dir', 'conf', 'seed=0,1', 'limit=2']
    """
    return sorted(arguments, key=_is_override)


def _refuse_one_folder_for_all(arguments: Sequence[str]) -> None:
    """Refuse a sweep of several jobs into one run folder, before the first begins.

    Raises:
        ConfigurationError: `run` is the same for all of them.
    """
    if not {*MULTIRUN} & {*arguments}:
        return
    try:
        overrides = OverridesParser.create().parse_overrides([one for one in arguments if _is_override(one)])
    except HydraException:
        return  # told where it is composed
    several = any(one.is_sweep_override() for one in overrides)
    run = next((one for one in overrides if one.key_or_group == "run"), None)
    if run is None or run.is_sweep_override() or run.value() is None or "${" in str(run.value()):
        return
    if several:
        raise ConfigurationError(_one_folder(str(run.value())))


def _one_folder(run: str) -> str:
    return (
        f"run={run}: the jobs of a sweep would write into one folder, each over the one before; leave `run` out, or "
        "let it depend on what is swept, as run='runs/seed_${seed}'"
    )


@contextmanager
def _as_hydra_expects(arguments: Sequence[str]) -> Iterator[None]:
    """Hydra reads `sys.argv`, and lets errors through where HYDRA_FULL_ERROR is set."""
    command_line, before = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = [command_line[0], *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = command_line
        if before is None:
            os.environ.pop("HYDRA_FULL_ERROR", None)
        else:
            os.environ["HYDRA_FULL_ERROR"] = before
