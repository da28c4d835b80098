"""Whose a run folder is: of which command and experiment, and which process writes in it now."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from recsys.atomic import write_json
from recsys.config.settings import RunSettings
from recsys.errors import ConfigurationError, RequestError

OWNER_FILE, LOCK_FILE = ".run.json", ".lock"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Owner:
    """What a run folder belongs to; its options may change.

    Args:
        command: `train`, `bench` or `replay`.
        name: of the experiment.
    """

    command: str
    name: str

    @classmethod
    def of(cls, config: DictConfig) -> Owner:
        """Return the owner of the run of a configuration."""
        stages = config.get("stage") or {}
        return cls(_command(stages), RunSettings.of(config).name)

    @classmethod
    def read(cls, folder: Path) -> Owner | None:
        """Return whose a folder is; None where it is no run folder."""
        try:
            return cls(**json.loads((folder / OWNER_FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return _former(folder)

    def check(self, folder: Path) -> None:
        """Refuse a folder that holds something else, before anything in it is changed.

        Raises:
            ConfigurationError: it is no folder, another run's, or it has files and is no run's.
        """
        if not folder.exists():
            return
        if not folder.is_dir():
            raise ConfigurationError(f"run: {folder} is a file, expected a folder; name a new one")
        found = Owner.read(folder)
        if found is None and any(not one.name.startswith(".") for one in folder.iterdir()):
            raise ConfigurationError(
                f"run: {folder} is not empty and no run folder of recsys; nothing in it was changed. Name a new folder"
            )
        if found is not None and found != self:
            raise ConfigurationError(
                f"run: {folder} holds the run '{found.name}' of `recsys {found.command}`, this is '{self.name}' of "
                f"`recsys {self.command}`; nothing in it was changed. Name another folder"
            )

    @contextmanager
    def holding(self, folder: Path) -> Iterator[None]:
        """Keep other runs out of the folder inside the block, and say whose it is.

        Raises:
            RequestError: another run writes in it.
            ConfigurationError: it is not this owner's (`check`).
        """
        with (folder / LOCK_FILE).open("a+", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                who = f" (process {said})" if (said := lock.read().strip()) else ""
                raise RequestError(
                    f"run: another run is writing in {folder}{who}; wait until it has ended, or name another folder"
                ) from None
            except OSError as error:
                log.warning("%s cannot be locked (%s): let no second run write in it", folder, error)
            self.check(folder)
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            if not (folder / OWNER_FILE).exists():
                write_json(folder / OWNER_FILE, asdict(self))
            yield


def _command(stages: object) -> str:
    """Return the command that has these stages."""
    names = set(stages) if isinstance(stages, dict | DictConfig | set) else set()
    return "bench" if "play" in names else "replay" if "replay" in names else "train"


def _former(folder: Path) -> Owner | None:
    """Return the owner of a run folder that has no word of it: it has a configuration and marks of stages."""
    marked = {one.parent.name for kind in ("fingerprint", "partial") for one in folder.glob(f"stages/*/{kind}.json")}
    if not marked:
        return None
    try:
        config = OmegaConf.load(folder / "config.yaml")
    except (OSError, ValueError, YAMLError, OmegaConfBaseException):
        return None
    if not isinstance(config, DictConfig):
        return None
    try:
        return Owner(_command(marked), RunSettings.of(config).name)
    except OmegaConfBaseException:
        return None
