"""Stages that prepare the data of a run: events to a data set, slates to a log, each with its split."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from recsys.atomic import write_json
from recsys.data.datasets.dataset import Dataset
from recsys.data.datasets.prepare import BY_ITEM, Prepared, prepare
from recsys.data.datasets.prepare_slates import load_slates, prepare_slates, save_slates
from recsys.data.datasets.slate_log import SlateLog
from recsys.data.datasets.split import SlateSplit, Split
from recsys.data.datasets.tie_breaking import TieBreaking
from recsys.data.sources.source import SlateSource, Source
from recsys.errors import RequestError
from recsys.runs.fingerprint import FINGERPRINT_FILE
from recsys.runs.run_folder import RunFolder

DATASET_POINTER_FILE = "dataset.json"

log = logging.getLogger(__name__)


@dataclass
class Prepare:
    """Prepare the data set and leave in the run folder where it lies.

    Args:
        source: see `recsys.data.datasets.prepare.prepare`, as all that follow.
        split: how events are divided into training and requests.
        k_core: fewest events of a user and of an item; 0 keeps everything.
        repeats: whether users may have an item again; None reads it from the data.
        repeat_threshold: share of events that come again above which they may; no effect unless `repeats` is None.
        tie_breaking: the rule that orders a user's events of equal time.
        seed: fixes that order.
        root: folder for prepared data.
    """

    source: Source
    split: Split
    k_core: int = 5
    repeats: bool | None = None
    repeat_threshold: float = 0.01
    tie_breaking: TieBreaking = BY_ITEM
    seed: int = 0
    root: str = "data/prepared"
    inputs: ClassVar[Sequence[str]] = ()

    def run(self, run: RunFolder) -> None:
        """Prepare, or find what an earlier run prepared."""
        dataset = prepare(
            self.source,
            self.split,
            k_core=self.k_core,
            repeats=self.repeats,
            repeat_threshold=self.repeat_threshold,
            tie_breaking=self.tie_breaking,
            seed=self.seed,
            root=self.root,
        )
        folder = Path(self.root) / f"{dataset.name}-{dataset.fingerprint[:16]}"
        write_json(run.stage("prepare") / DATASET_POINTER_FILE, {"folder": str(folder.resolve())})
        log.info("%s", dataset.describe())


def load_dataset(run: RunFolder) -> Dataset:
    """The data set a run was made with.

    Raises:
        RequestError: the prepared tables are gone.
    """
    folder = Path(json.loads((run.stage("prepare") / DATASET_POINTER_FILE).read_text())["folder"])
    if not (folder / "dataset.json").exists():
        (run.stage("prepare") / FINGERPRINT_FILE).unlink(missing_ok=True)  # so that the same training prepares again
        raise RequestError(f"{folder} is gone: it held the prepared data of {run.path}; run the same training again")
    return Prepared.load(folder).dataset()


@dataclass
class PrepareSlates:
    """Read a source's slates, divide them, and keep both in the run folder.

    Args:
        source: of the slates.
        split: which train and which are evaluated; `recsys.data.datasets.split`.
    """

    source: SlateSource
    split: Callable[[SlateLog], SlateSplit]
    inputs: ClassVar[Sequence[str]] = ()

    def run(self, run: RunFolder) -> None:
        """Prepare."""
        slates = prepare_slates(self.source)
        split = self.split(slates)
        save_slates(slates, split, run.stage("prepare"))
        parts = ", ".join(f"{int(getattr(split, part).sum()):,} {part}" for part in ("train", "validation", "test"))
        log.info("%s; %s", slates.describe(), parts)


def load_slate_log(run: RunFolder) -> tuple[SlateLog, SlateSplit]:
    """What a run was made with."""
    return load_slates(run.stage("prepare"))
