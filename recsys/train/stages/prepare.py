"""Stage: raw tables to a data set."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from recsys.data.dataset import Dataset
from recsys.data.prepare import BY_ITEM, prepare
from recsys.data.prepared import Prepared
from recsys.data.source import Source
from recsys.data.split import Split
from recsys.data.ties import Ties
from recsys.errors import RequestError
from recsys.train.fingerprint import FRESH
from recsys.train.run_folder import RunFolder

POINTER = "dataset.json"

log = logging.getLogger(__name__)


@dataclass
class Prepare:
    """Prepare the data set and leave in the run folder where it lies.

    Args:
        source: see `recsys.data.prepare.prepare`, as all that follow.
        split: how events are divided into training and requests.
        k_core: fewest events of a user and of an item; 0 keeps everything.
        repeats: whether users may have an item again; None reads it from the data.
        repeat_threshold: share of events that come again above which they may; no effect unless `repeats` is None.
        ties: the rule that orders a user's events of equal time.
        seed: fixes that order.
        root: folder for prepared data.
    """

    source: Source
    split: Split
    k_core: int = 5
    repeats: bool | None = None
    repeat_threshold: float = 0.01
    ties: Ties = BY_ITEM
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
            ties=self.ties,
            seed=self.seed,
            root=self.root,
        )
        folder = Path(self.root) / f"{dataset.name}-{dataset.fingerprint[:16]}"
        (run.stage("prepare") / POINTER).write_text(json.dumps({"folder": str(folder.resolve())}))
        log.info("%s", dataset.describe())


def load_dataset(run: RunFolder) -> Dataset:
    """The data set a run was made with.

    Raises:
        RequestError: the prepared tables are gone.
    """
    folder = Path(json.loads((run.stage("prepare") / POINTER).read_text())["folder"])
    if not (folder / "dataset.json").exists():
        (run.stage("prepare") / FRESH).unlink(missing_ok=True)  # so that the same training prepares again
        raise RequestError(f"{folder} is gone: it held the prepared data of {run.path}; run the same training again")
    return Prepared.load(folder).dataset()
