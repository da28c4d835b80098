"""Raw tables to a data set, once: later calls with the same source and options read what the first one left."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from pathlib import Path

import polars as pl

from recsys.data import clean
from recsys.data.dataset import Dataset, jagged_events
from recsys.data.prepared import Prepared
from recsys.data.source import Source, Tables
from recsys.data.split import Split
from recsys.data.ties import ByItem, Ties

LAYOUT = 1
"""Raised whenever what is written, or how it is computed, changes: older folders are then prepared again."""

BY_ITEM = ByItem()

logger = logging.getLogger(__name__)


def prepare(
    source: Source,
    split: Split,
    *,
    k_core: int = 5,
    repeats: bool | None = None,
    repeat_threshold: float = 0.01,
    ties: Ties = BY_ITEM,
    seed: int = 0,
    root: str | Path = "data/prepared",
) -> Dataset:
    """Clean, order, index and divide the interactions of a source.

    Args:
        source: where the tables come from.
        split: how events are divided into training and requests.
        k_core: users and items with fewer events are dropped, to the fixed point; 0 keeps everything.
        repeats: whether users may have an item again. If false, only the first event of a user with an item stays and
            requests exclude what the user had; None reads it from the data: true when the share of events that come
            again at another time exceeds `repeat_threshold`.
        repeat_threshold: a share of events, in [0, 1]; no effect unless `repeats` is None.
        ties: the rule that orders a user's events of equal time.
        seed: fixes the order of a user's events of equal time.
        root: folder for prepared data; each source and choice of options has its own folder in it.

    Raises:
        DataError: when the tables are malformed, or nothing is left.
    """
    folder = prepared_folder(
        source,
        split,
        k_core=k_core,
        repeats=repeats,
        repeat_threshold=repeat_threshold,
        ties=ties,
        seed=seed,
        root=root,
    )
    dataset = Prepared.load(folder).dataset()
    logger.info("%s", dataset.describe())
    return dataset


def prepared_folder(
    source: Source,
    split: Split,
    *,
    k_core: int = 5,
    repeats: bool | None = None,
    repeat_threshold: float = 0.01,
    ties: Ties = BY_ITEM,
    seed: int = 0,
    root: str | Path = "data/prepared",
) -> Path:
    """The folder of the prepared tables (`Prepared.load` reads it), made unless it is there; options as in `prepare`."""
    tables = source.tables()
    options = {
        "layout": LAYOUT,
        "source": tables.fingerprint,
        "split": repr(split),
        "k_core": k_core,
        "repeats": repeats,
        "repeat_threshold": repeat_threshold,
        "ties": repr(ties),
        "seed": seed,
    }
    fingerprint = hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()
    folder = Path(root) / f"{tables.name}-{fingerprint[:16]}"
    if not (folder / "dataset.json").exists():
        _keep(_prepare(tables, split, k_core, repeats, repeat_threshold, ties, seed, fingerprint), folder)
    return folder


def _prepare(
    tables: Tables,
    split: Split,
    k_core: int,
    repeats: bool | None,
    repeat_threshold: float,
    ties: Ties,
    seed: int,
    fingerprint: str,
) -> Prepared:
    coded = clean.encode(tables.interactions)
    raw = len(coded.events)
    share = clean.repeat_share(coded.events)
    if repeats is None:
        repeats = share > repeat_threshold
    events = clean.without_duplicates(coded.events) if repeats else clean.without_repeats(coded.events)
    distinct = len(events)
    coded = clean.renumber(clean.Coded(clean.k_core(events, k_core), coded.user_ids, coded.item_ids))
    events = _timed(clean.in_order(coded.events, ties, seed), tables.interactions)
    items, users = _table(coded.item_ids, tables.items, "item"), _table(coded.user_ids, tables.users, "user")
    history, times = jagged_events(events, len(users))
    splits = split.split(history, times)
    summary = {
        "raw_events": raw,
        "repeat_share": share,
        "dropped_duplicates": raw - distinct,
        "dropped_by_k_core": distinct - len(events),
        "events": len(events),
        "users": len(users),
        "items": len(items),
        "validation_requests": len(splits.validation),
        "test_requests": len(splits.test),
    }
    return Prepared(tables.name, events, items, users, splits, repeats, fingerprint, summary)


def _timed(events: pl.DataFrame, interactions: pl.LazyFrame) -> pl.DataFrame:
    """`time` as `timestamp` in seconds, or dropped where only the order was known."""
    kind = interactions.collect_schema().get("timestamp")
    if kind is None:
        return events.drop("time")
    unit = clean.MICROSECONDS if isinstance(kind, pl.Datetime) else 1
    return events.with_columns((pl.col("time") // unit).alias("timestamp")).drop("time")


def _table(ids: pl.Series, table: pl.LazyFrame | None, kind: str) -> pl.DataFrame:
    """One row an id that is left, in the order of the indices, with the source's features where it has them."""
    key = f"{kind}_id"
    frame = ids.to_frame(key).with_row_index(kind)
    if table is None:
        return frame
    table = table.with_columns(pl.col(key).cast(ids.dtype, strict=False))
    return frame.lazy().join(table, on=key, how="left", maintain_order="left").collect()


def _keep(prepared: Prepared, folder: Path) -> None:
    """Write aside, then rename, so that a folder that exists is whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".aside-", dir=folder.parent))
    try:
        prepared.save(aside)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
