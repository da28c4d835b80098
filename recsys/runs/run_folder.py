"""The layout of a run folder, file by file."""

from __future__ import annotations

import errno
import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from recsys.atomic import write_parquet, write_text
from recsys.config.settings import RunSettings
from recsys.errors import RequestError
from recsys.runs.fingerprint import (
    FINGERPRINT_FILE,
    PARTIAL_FILE,
    PlannedStage,
    configuration_fingerprint,
    is_fresh,
    mark_fresh,
    mark_result,
)
from recsys.runs.ownership import Owner

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunFolder:
    """Where each file of a run lies (`docs/guide/tables.md`).

    ```
    path/config.yaml       the composed configuration
         metrics.json      {row: {metric: {value, low, high}}}
         metrics.parquet   the same, long, per user and seed
         history.parquet   stage, step, metric, value
         report.html
         run.log
         .run.json         whose run it is; .lock while a run writes here
         checkpoints/<stage>/
         stages/<stage>/   what later stages read; partial.json until it is whole, then fingerprint.json
    ```
    """

    path: Path

    @property
    def config(self) -> Path:
        """The composed configuration."""
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        """Rows of metrics with intervals."""
        return self.path / "metrics.json"

    @property
    def metrics_table(self) -> Path:
        """Metrics per user and seed, for paired comparisons."""
        return self.path / "metrics.parquet"

    @property
    def history(self) -> Path:
        """What was logged while training, all stages together."""
        return self.path / "history.parquet"

    @property
    def checkpoints(self) -> Path:
        """Weights, one folder a stage."""
        return self.path / "checkpoints"

    @property
    def report(self) -> Path:
        """The page that tells the run."""
        return self.path / "report.html"

    @property
    def log(self) -> Path:
        """What the console showed, with times."""
        return self.path / "run.log"

    def stage(self, name: str) -> Path:
        """Return the folder of a stage's results; made where it is absent."""
        return _made(self.path / "stages" / name)

    def checkpoint(self, name: str) -> Path:
        """Return the folder of a stage's `last` and `best` weights; made where it is absent."""
        return _made(self.checkpoints / name)

    def up_to_date(self, step: PlannedStage) -> bool:
        """Whether the stage's result is whole and was made with this fingerprint."""
        return is_fresh(self.stage(step.name), step.fingerprint)

    def remove_stale_results(self, steps: list[PlannedStage]) -> None:
        """Take away results at the root of the folder that a run of these stages will make anew.

        An interrupted run leaves no table or report of another configuration than the folder's. A stage that is whole
        loses the mark of having begun, which a kill at its very end leaves: if its result is damaged later, it is made
        anew, and does not go on from the damage.
        """
        for step in steps:
            if self.up_to_date(step):
                (self.stage(step.name) / PARTIAL_FILE).unlink(missing_ok=True)
                continue
            for name in step.results:
                (self.path / name).unlink(missing_ok=True)

    def begin(self, step: PlannedStage) -> bool:
        """Mark a stage as begun; True where an interrupted attempt with this fingerprint left something to go on from.

        Otherwise what the stage made before, its results at the root of the folder included, is taken away; a stage
        that is incremental keeps them.
        """
        folder = self.stage(step.name)
        if is_fresh(folder, step.fingerprint, PARTIAL_FILE):
            return True
        (folder / FINGERPRINT_FILE).unlink(missing_ok=True)
        for one in () if step.incremental else (folder, self.checkpoints / step.name):
            if one.exists():
                shutil.rmtree(one)
        for name in step.results:
            (self.path / name).unlink(missing_ok=True)
        mark_fresh(self.stage(step.name), step.fingerprint, PARTIAL_FILE)
        return False

    def finish(self, step: PlannedStage) -> None:
        """Mark a stage's result as whole."""
        folder = self.stage(step.name)
        mark_result(folder, step.fingerprint, [self.path / name for name in step.results])
        (folder / PARTIAL_FILE).unlink(missing_ok=True)

    def gather_history(self, names: list[str]) -> None:
        """Write `history.parquet` from what the named stages logged, in that order."""
        files = {name: self.stage(name) / "history.parquet" for name in names}
        parts = [
            pl.read_parquet(file, glob=False).select(pl.lit(name).alias("stage"), "step", "metric", "value")
            for name, file in files.items()
            if file.exists()
        ]
        if parts:
            write_parquet(self.history, pl.concat(parts))

    def read_metrics(self) -> dict[str, Any]:
        """`metrics.json`, empty where no stage wrote it."""
        try:
            return json.loads(self.metrics.read_text()) if self.metrics.exists() else {}
        except ValueError as error:
            raise RequestError(
                f"{self.metrics} is damaged ({error}): run the command that made the run again"
            ) from error

    def write_config(self, config: DictConfig) -> None:
        """Keep the configuration such that running it again makes a new run."""
        kept = OmegaConf.create(OmegaConf.to_container(config, resolve=False))
        kept.update({"run": None, "resume": False})
        if "modules" in kept:
            kept.modules = []
        write_text(self.config, OmegaConf.to_yaml(kept))


def choose_folder(config: DictConfig, steps: list[PlannedStage]) -> Path:
    """Return the folder that the configuration asks for: `run`, or with `resume` the newest of its runs, or a new one.

    An unfinished run is preferred; where all are finished the newest is taken, in which everything is up to date.
    """
    settings = RunSettings.of(config)
    runs = Path(settings.root) / settings.name
    if settings.run is not None:
        with _no_such_place("run"):
            Owner.of(config).check(Path(settings.run))
            return _made(Path(settings.run))
    if settings.resume and (same := same_runs(runs, config)):
        unfinished = [one for one in same if not all(one.up_to_date(step) for step in steps)]
        return (unfinished or same)[-1].path
    with _no_such_place("root"):
        return new_folder(runs)


@contextmanager
def _no_such_place(key: str) -> Iterator[None]:
    """Refuse a path at which there cannot be a folder: below a file, too long, a link to itself.

    Raises:
        RequestError: it is one.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
            raise
        raise RequestError(f"{key}: {error.filename} cannot be made ({error.strerror}); name another folder") from error


def same_runs(runs: Path, config: DictConfig) -> list[RunFolder]:
    """Return the runs of the same configuration under `runs`, oldest first."""
    wanted = configuration_fingerprint(config)
    found = []
    for path in sorted(runs.glob("*/config.yaml")):
        try:
            stored = OmegaConf.load(path)
            if isinstance(stored, DictConfig) and configuration_fingerprint(stored) == wanted:
                found.append(RunFolder(path.parent))
        except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
            log.warning("%s cannot be read and is passed over: %s", path, error)
    return found


def new_folder(runs: Path) -> Path:
    """Return a folder named by the time, that nobody else has: two runs of one second get two."""
    stem = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    number = 1
    while True:
        path = runs / (stem if number == 1 else f"{stem}_{number}")
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            number += 1


def _made(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
