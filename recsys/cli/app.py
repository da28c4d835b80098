"""A command as a Hydra application: composition, `--multirun`, `--cfg job`, `--help` are Hydra's, errors are ours."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from recsys.config.compose import explain_hydra_error
from recsys.configuration import configuration_folder, job_folder


def application(config_name: str, task: Callable[[DictConfig], None], arguments: Sequence[str]) -> None:
    """Compose `config_name` with the overrides in `arguments` and give it to `task`; once a job with `--multirun`.

    Raises:
        ConfigurationError: an override or an option of a group that is not there.
        Exception: whatever `task` raises, as it is; a sweep ends with its first failure.
    """
    failures: list[Exception] = []
    command_line = sys.argv

    def job(config: DictConfig) -> None:
        """The task, seeing the command line as it was given."""
        sys.argv = command_line
        try:
            task(config)
        except Exception as error:
            failures.append(error)
            raise SystemExit from None

    folder = job_folder(configuration_folder(), config_name)
    entry = hydra.main(version_base="1.3", config_path=str(folder), config_name=config_name)(job)
    overrides = [one for one in arguments if ("=" in one or one.startswith("~")) and not one.startswith("-")]
    try:
        with _as_hydra_expects(arguments):
            entry()
    except SystemExit:
        if failures:
            raise failures[0] from None
        raise
    except (HydraException, OmegaConfBaseException) as error:
        raise explain_hydra_error(error, config_name, overrides) from None


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
