"""Prepare a data set from a source once, and read it from disk afterwards."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from errno import ENOENT
from pathlib import Path

import polars as pl
import torch

from recsys.atomic import whole_folder, write_json, write_parquet
from recsys.checksums import check_folder, write_checksums
from recsys.data.datasets import clean
from recsys.data.datasets.dataset import Dataset, assemble, jagged_events
from recsys.data.datasets.selection import Selection
from recsys.data.datasets.split import Split, Splits
from recsys.data.datasets.tie_breaking import TieBreaking, TieByItem
from recsys.data.sources.source import Source, Tables
from recsys.data.tables.text import as_ids
from recsys.errors import DataError
from recsys.report.progress import progress_bar
from recsys.types.jagged import Jagged

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """Prepared data as stored on disk, from which a `Dataset` is assembled.

    Args:
        name: name of the data in reports.
        events: `user`, `item` and, if times are known, `timestamp` (seconds); sorted by user, oldest first.
        items: one row an item.
        users: one row a user.
        splits: the events that train and those that are held out.
        repeats: whether users may interact with an item again.
        fingerprint: text that identifies the source and all options.
        summary: counts of what was found, dropped and kept.
    """

    name: str
    events: pl.DataFrame
    items: pl.DataFrame
    users: pl.DataFrame
    splits: Splits
    repeats: bool
    fingerprint: str
    summary: dict[str, float]

    def dataset(self) -> Dataset:
        """Return the data set in memory."""
        return assemble(
            self.events,
            self.splits,
            name=self.name,
            items=self.items,
            users=self.users,
            repeats=self.repeats,
            fingerprint=self.fingerprint,
            summary=self.summary,
        )

    def save(self, folder: Path) -> None:
        """Write the data into an empty folder."""
        write_parquet(folder / "events.parquet", self.events)
        write_parquet(folder / "items.parquet", self.items)
        train = pl.Series("train_events", self.splits.train_lengths.numpy())
        write_parquet(folder / "users.parquet", self.users.with_columns(train))
        requests = [
            pl.DataFrame({"event": index.numpy()}).select(pl.lit(part).alias("part"), "event")
            for part, index in (("validation", self.splits.validation), ("test", self.splits.test))
        ]
        write_parquet(folder / "requests.parquet", pl.concat(requests))
        facts = {
            "name": self.name,
            "repeats": self.repeats,
            "fingerprint": self.fingerprint,
            "summary": self.summary,
        }
        write_json(folder / "dataset.json", facts, indent=2)
        write_checksums(folder)

    @classmethod
    def load(cls, folder: Path) -> Prepared:
        """Read data that `save` wrote.

        Raises:
            FileNotFoundError: they are gone.
            DataError: a file is damaged, or one of several is gone.
        """
        facts_file = folder / "dataset.json"
        if not facts_file.exists():
            raise FileNotFoundError(ENOENT, "it is not there", str(facts_file))
        check_folder(folder, "it holds prepared data; run the same training again")
        try:
            return cls._read(folder)
        except (ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
            raise DataError(f"{folder}: prepared data are damaged ({error}); run the same training again") from error

    @classmethod
    def _read(cls, folder: Path) -> Prepared:
        facts = json.loads((folder / "dataset.json").read_text())
        users = pl.read_parquet(folder / "users.parquet", glob=False)
        requests = pl.read_parquet(folder / "requests.parquet", glob=False)
        validation, test = (
            torch.from_numpy(requests.filter(pl.col("part") == part).get_column("event").to_numpy().copy())
            for part in ("validation", "test")
        )
        train = torch.from_numpy(users.get_column("train_events").to_numpy().copy())
        return cls(
            events=pl.read_parquet(folder / "events.parquet", glob=False),
            items=pl.read_parquet(folder / "items.parquet", glob=False),
            users=users.drop("train_events"),
            splits=Splits(train, validation, test),
            **facts,
        )


LAYOUT = 2
"""Version of the stored data. It is raised when the files or their computation change; older data is prepared again."""

BY_ITEM = TieByItem()


def prepare(
    source: Source,
    split: Split,
    *,
    k_core: int = 5,
    repeats: bool | None = None,
    repeat_threshold: float = 0.01,
    tie_breaking: TieBreaking = BY_ITEM,
    seed: int = 0,
    min_rating: float | None = None,
    events: Sequence[str] | None = None,
    weights: bool = False,
    root: str | Path = "data/prepared",
) -> Dataset:
    """Clean, sort, index and split the interactions of a source.

    Args:
        source: source of the tables.
        split: rule that splits events into training events and held-out requests.
        k_core: users and items with fewer events are dropped, repeatedly; 0 keeps everything.
        repeats: whether users may interact with an item again. If False, only the first event of a user and an item is
            kept, and requests exclude seen items. None decides by the data: True if the share of events that repeat an
            earlier one at another time exceeds `repeat_threshold`.
        repeat_threshold: share of events, in [0, 1]; it has no effect unless `repeats` is None.
        tie_breaking: rule that orders a user's events of equal time.
        seed: seed of that order.
        min_rating: least `rating` of an event that is kept; None keeps all, one-star ratings as well.
        events: values of `event` that are kept, such as `["purchase"]`; None keeps all.
        weights: must be False: no training weighs events.
        root: folder of prepared data. Each source and choice of options has a folder of its own in it.

    Returns:
        The data set. Its `describe()` says what was kept and whether seen items are excluded.

    Raises:
        DataError: a table is malformed, or no event is left.
        ConfigurationError: `weights` is True.
    """
    selection = Selection(min_rating, events, weights)
    tables = source.tables()
    cleaning = clean.Cleaning(k_core, repeats, repeat_threshold, tie_breaking, seed, selection)
    recipe = f"{LAYOUT} {tables.fingerprint} {cleaning!r} {split!r}"
    fingerprint = hashlib.sha256(recipe.encode()).hexdigest()
    folder = Path(root) / f"{tables.name}-{fingerprint[:16]}"
    prepared = _found(folder)
    if prepared is None:
        with progress_bar() as bar:
            bar.add_task(f"preparing {tables.name}", total=None)
            prepared = _prepare(tables, cleaning, split, fingerprint)
            with whole_folder(folder, replace=True) as aside:
                prepared.save(aside)
    return prepared.dataset()


def _found(folder: Path) -> Prepared | None:
    """Return what an earlier run prepared; None where there is nothing, or it is damaged, which is told."""
    with suppress(FileNotFoundError):
        try:
            return Prepared.load(folder)
        except DataError as error:
            log.warning("%s: it is prepared anew", error)
    return None


def _prepare(tables: Tables, cleaning: clean.Cleaning, split: Split, fingerprint: str) -> Prepared:
    cleaned = cleaning(tables.interactions)
    events = _timed(cleaned.events, tables.interactions)
    items, without_events, without_features = _table(cleaned.item_ids, tables.items, "item")
    users, *_ = _table(cleaned.user_ids, tables.users, "user")
    history, times = jagged_events(events, len(users))
    splits = split.split(history, times)
    summary = {
        **cleaned.counts,
        "users": len(users),
        "items": len(items),
        "items_without_events": without_events,
        "items_without_features": without_features,
        **_requests(history, splits, len(items)),
    }
    return Prepared(tables.name, events, items, users, splits, cleaned.repeats, fingerprint, summary)


def _requests(events: Jagged, splits: Splits, num_items: int) -> dict[str, int]:
    """Return the numbers of requests, and of those whose target occurs in no training event."""
    trained = torch.zeros(num_items, dtype=torch.bool)
    is_training = events.positions() < splits.train_lengths.repeat_interleave(events.lengths)
    trained[events.values[is_training]] = True
    counts = {}
    for part, targets in (("validation", splits.validation), ("test", splits.test)):
        counts[f"{part}_requests"] = len(targets)
        counts[f"{part}_targets_without_training"] = int((~trained[events.values[targets]]).sum())
    return counts


def _timed(events: pl.DataFrame, interactions: pl.LazyFrame) -> pl.DataFrame:
    """Turn `time` into `timestamp` in seconds, or drop it if only the order is known."""
    kind = interactions.collect_schema().get("timestamp")
    if kind is None:
        return events.drop("time")
    unit = clean.MICROSECONDS if isinstance(kind, pl.Datetime) else 1
    return events.with_columns((pl.col("time") // unit).alias("timestamp")).drop("time")


def _table(ids: pl.Series, table: pl.LazyFrame | None, kind: str) -> tuple[pl.DataFrame, int, int]:
    """Return one row for each kept id, in the order of the indices, with the features of the source.

    Returns:
        The rows, the number of rows of the source without events, and the number of ids without a row in the source.
    """
    key = f"{kind}_id"
    frame = ids.to_frame(key).with_row_index(kind)
    if table is None:
        return frame, 0, 0
    features = table.with_columns(as_ids(pl.col(key), table.collect_schema()[key], ids.dtype)).collect()
    known = int(features.get_column(key).is_in(ids.implode()).sum())
    return frame.join(features, on=key, how="left", maintain_order="left"), len(features) - known, len(ids) - known
