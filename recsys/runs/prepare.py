"""Stage: prepare the data of a run, of whichever kind."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import isclass
from pathlib import Path
from typing import ClassVar, TypeVar

from recsys.atomic import write_json
from recsys.config.signature import locate
from recsys.data.datasets.preparation import Preparation, PreparedData
from recsys.errors import ConfigurationError, RequestError
from recsys.runs.fingerprint import check_result
from recsys.runs.run_folder import RunFolder
from recsys.stored import Trusted, check_stored, trusting

PREPARED_FILE = "prepared.json"

Kind = TypeVar("Kind")

log = logging.getLogger(__name__)


@dataclass
class Prepare:
    """Prepare the data that the configuration names.

    Args:
        data: what to prepare and how; `recsys.data.datasets.preparation`.
    """

    data: Preparation
    name: ClassVar[str] = "prepare"
    prepares: ClassVar[bool] = True

    def run(self, run: RunFolder) -> None:
        """Prepare, and keep which class reads the data again."""
        folder = run.stage(self.name)
        prepared = self.data.prepare(folder)
        kind = type(self.data)
        write_json(folder / PREPARED_FILE, {"preparation": f"{kind.__module__}.{kind.__qualname__}"})
        log.info("%s", prepared.describe())

    def is_intact(self, run: RunFolder) -> bool:
        """Return whether the prepared data are there and undamaged, wherever they lie."""
        try:
            load_data(run)
        except RequestError as error:
            log.warning("%s", error)
            return False
        return True


def load_data(run: RunFolder | Path | str, modules: Sequence[str] = ()) -> PreparedData:
    """Return the data a run was made with.

    Args:
        run: a folder that `recsys train` left.
        modules: beside this package, whose classes the run folder may name. Nothing else is imported.

    Returns:
        A `Dataset` of sequences, `PreparedSlates` of slates and sessions, or what else the configuration of the run
        prepares.

    Raises:
        RequestError: the run prepared none, or they are gone or damaged.
    """
    run = run if isinstance(run, RunFolder) else RunFolder(Path(run))
    with trusting(Trusted(modules=frozenset(modules))):
        return _load_data(run)


def _load_data(run: RunFolder) -> PreparedData:
    if not run.path.is_dir():
        raise RequestError(f"{run.path}: there is no such folder; name one that `recsys train` left")
    folder = run.stage(Prepare.name)
    if not (folder / PREPARED_FILE).exists():
        raise RequestError(f"{run.path} holds no prepared data; its stages begin with `{Prepare.name}`")
    check_result(folder)
    try:
        kind = json.loads((folder / PREPARED_FILE).read_text())["preparation"]
        check_stored({"_target_": kind}, folder / PREPARED_FILE, "preparation", whole_run=True)
        preparation = locate(str(folder / PREPARED_FILE), kind)
        if not (isclass(preparation) and issubclass(preparation, Preparation)):
            raise ConfigurationError(
                f"{folder / PREPARED_FILE}: {kind} prepares no data; make the run again from its experiment"
            )
        return preparation.load(folder)
    except FileNotFoundError as error:
        raise RequestError(
            f"{error.filename} is gone: it held prepared data of {run.path}; run the same training again"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{folder}: what was prepared is damaged ({error}); run the same training again") from error


def load_data_of(run: RunFolder, kind: type[Kind]) -> Kind:
    """Return the data a run was made with, which must be of one kind.

    Args:
        run: a run folder.
        kind: class of the prepared data, such as `recsys.Dataset`.

    Raises:
        ConfigurationError: the run prepared data of another kind.
        RequestError: the data are gone.
    """
    data = load_data(run)
    if not isinstance(data, kind):
        raise ConfigurationError(
            f"{run.path}: the run prepared {type(data).__name__} ({data.name}), {kind.__name__} is needed; "
            "`data`, `evaluation` and `report` of the configuration must be of one kind"
        )
    return data
