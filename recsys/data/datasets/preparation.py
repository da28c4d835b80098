"""How the data of a run are prepared, by class: what a configuration names as `data`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import polars as pl

from recsys.atomic import write_json
from recsys.data.datasets.dataset import Dataset
from recsys.data.datasets.prepare import BY_ITEM, Prepared, prepare
from recsys.data.datasets.prepare_slates import PreparedSlates, prepare_slates
from recsys.data.datasets.slate_log import CLICK, SlateLog
from recsys.data.datasets.split import SlateSplit, Split
from recsys.data.datasets.tie_breaking import TieBreaking
from recsys.data.sources.source import SlateSource, Source
from recsys.errors import DataError
from recsys.ranges import at_least, finite, is_seed, within
from recsys.types.context import Context
from recsys.types.jagged import Jagged

POINTER_FILE = "dataset.json"


@runtime_checkable
class Materials(Protocol):
    """What a `model` of a configuration is called with, and what the weights of the model belong to."""

    @property
    def fingerprint(self) -> Any:
        """Text that changes whenever a model built from it would be another one."""
        ...

    def check(self, fingerprint: str) -> None:
        """Refuse weights of a model that was built from something else.

        Raises:
            RequestError: `fingerprint` belongs to materials that these cannot stand for.
        """
        ...


@runtime_checkable
class PreparedData(Protocol):
    """Prepared data in memory, such as a `Dataset` or `PreparedSlates`."""

    @property
    def name(self) -> str:
        """What reports call the data."""
        ...

    @property
    def fingerprint(self) -> str:
        """Text that changes whenever a training on the data would give another result."""
        ...

    @property
    def materials(self) -> Materials:
        """What models are built from in a run that makes no semantic IDs."""
        ...

    def describe(self) -> str:
        """Describe size and dropped rows in one line of text."""
        ...

    def facts(self) -> Mapping[str, str]:
        """Return the sizes that a report lists below its title, by name."""
        ...


@runtime_checkable
class ItemSequences(Protocol):
    """Prepared data whose items are tokenized: a catalogue, and what users took in training."""

    @property
    def items(self) -> pl.DataFrame:
        """One row an item, with its raw id (`item_id`) and the features of the source."""
        ...

    @property
    def sequences(self) -> Jagged:
        """The items that each user took in training, one row a user, oldest first."""
        ...


@runtime_checkable
class ServedData(Protocol):
    """Prepared data whose users can be answered: `Dataset` with items, `PreparedSlates` with slates."""

    @property
    def name(self) -> str:
        """What reports call the data."""
        ...

    @property
    def users(self) -> pl.DataFrame:
        """One row a user, with the index (`user`) and the raw id (`user_id`)."""
        ...

    @property
    def items(self) -> pl.DataFrame:
        """One row an item, with its raw id (`item_id`) and the features of the source."""
        ...

    @property
    def num_items(self) -> int:
        """Number of items `N` of the catalogue."""
        ...

    @property
    def slots(self) -> int | None:
        """Number of slots of an answer; None where answers are lists of single items."""
        ...

    def recommend_context(self, user_ids: Sequence[int | str]) -> Context:
        """Return requests of the given users, with all that is known of them as history.

        Args:
            user_ids: raw ids of users.

        Raises:
            DataError: an id is not in the data.
        """
        ...


@runtime_checkable
class Preparation(Protocol):
    """Prepares data of one kind and reads them again."""

    def prepare(self, folder: Path) -> PreparedData:
        """Prepare, and leave in the folder what `load` needs."""
        ...

    @staticmethod
    def load(folder: Path) -> PreparedData:
        """Read what `prepare` left in the folder.

        Raises:
            FileNotFoundError: it is gone.
        """
        ...


@dataclass
class SequencePreparation:
    """Prepares a data set of sequences of items (`recsys.data.datasets.prepare.prepare`).

    The tables lie below `root`, shared by all runs with equal source and options; a run keeps where.

    Args:
        source: the interactions.
        split: how events are divided into training and requests.
        k_core: fewest events of a user and of an item; 0 keeps everything.
        repeats: whether users may have an item again; None reads it from the data.
        repeat_threshold: share of events that come again above which they may; no effect unless `repeats` is None.
        tie_breaking: the rule that orders a user's events of equal time.
        seed: fixes that order.
        min_rating: least rating of an event that is kept; None keeps all.
        events: kinds of events that are kept, such as `[purchase]`; None keeps all.
        weights: must be False: no training weighs events.
        root: folder for prepared data.
    """

    source: Source
    split: Split
    k_core: int = 5
    repeats: bool | None = None
    repeat_threshold: float = 0.01
    tie_breaking: TieBreaking = BY_ITEM
    seed: int = 0
    min_rating: float | None = None
    events: Sequence[str] | None = None
    weights: bool = False
    root: str = "data/prepared"

    def __post_init__(self) -> None:
        at_least(0, k_core=self.k_core)
        within(0, 1, repeat_threshold=self.repeat_threshold)
        is_seed(seed=self.seed)
        finite(min_rating=self.min_rating)

    def prepare(self, folder: Path) -> Dataset:
        """Prepare the data set, or find what an earlier run prepared.

        Raises:
            DataError: fewer than two users or items are left, or a part of the split is empty.
        """
        dataset = prepare(
            self.source,
            self.split,
            k_core=self.k_core,
            repeats=self.repeats,
            repeat_threshold=self.repeat_threshold,
            tie_breaking=self.tie_breaking,
            seed=self.seed,
            min_rating=self.min_rating,
            events=self.events,
            weights=self.weights,
            root=self.root,
        )
        _check_enough(dataset, self.split)
        tables = Path(self.root) / f"{dataset.name}-{dataset.fingerprint[:16]}"
        write_json(folder / POINTER_FILE, {"folder": str(tables.resolve())})
        return dataset

    @staticmethod
    def load(folder: Path) -> Dataset:
        """Read the data set that the folder points to."""
        return Prepared.load(Path(json.loads((folder / POINTER_FILE).read_text())["folder"])).dataset()


def _check_enough(dataset: Dataset, split: Split) -> None:
    """Refuse a data set from which nothing can be learnt or evaluated, and say which rule left too little."""
    dropped = f" ({told})" if (told := dataset.dropped()) else ""
    for name, count in (("user", dataset.num_users), ("item", dataset.num_items)):
        if count < 2:
            raise DataError(
                f"{dataset.name}: {count} {name} is left of the interactions{dropped}, expected at least 2. Lower"
                " data.k_core, or bring more interactions"
            )
    parts = {"training event": len(dataset.train.history.values)}
    parts |= {"validation request": len(dataset.validation), "test request": len(dataset.test)}
    for part, count in parts.items():
        if not count:
            raise DataError(
                f"{dataset.name}: {split!r} leaves no {part} of {dataset.num_users:,} users and"
                f" {len(dataset.complete.history.values):,} events{dropped}. LeaveOneOut needs users with three events,"
                " GlobalTime users who return; choose another split, or bring more interactions"
            )


@dataclass
class SlatePreparation:
    """Prepares a log of slates and its split, both kept in the run folder.

    Args:
        source: the slates.
        split: which of them train and which are evaluated; `recsys.data.datasets.split`.
        taken: channel whose positive values put an item into a user's history, such as `click`.
    """

    source: SlateSource
    split: Callable[[SlateLog], SlateSplit]
    taken: str = CLICK

    def prepare(self, folder: Path) -> PreparedSlates:
        """Read the source, divide its slates, and write both."""
        log = prepare_slates(self.source)
        split = self.split(log)
        for part in ("train", "test"):
            if not getattr(split, part).any():
                raise DataError(
                    f"{log.name}: the split leaves none of {len(log):,} slates of {log.num_users:,} users to {part}."
                    " Raise its share, or choose another split"
                )
        slates = PreparedSlates(log, split, self.taken)
        try:
            _ = slates.examples  # refuses a channel that the log lacks
        except DataError as error:
            raise DataError(f"data.taken: {error}. Name one of these") from error
        slates.save(folder)
        return slates

    @staticmethod
    def load(folder: Path) -> PreparedSlates:
        """Read the log and its split."""
        return PreparedSlates.load(folder)
