"""Raw interactions to clean, ordered events with contiguous indices.

Inside this module an event is a row of three columns: `user` and `item` (codes from 0 in the order of the raw ids) and
`time` (int64; only its order counts here).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from recsys.data.ties import Ties
from recsys.errors import DataError

MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Coded:
    """Events with integer codes and the raw ids behind the codes.

    Args:
        events: `user`, `item`, `time`.
        user_ids: raw id of each user code, rising.
        item_ids: raw id of each item code, rising.
    """

    events: pl.DataFrame
    user_ids: pl.Series
    item_ids: pl.Series


def encode(interactions: pl.LazyFrame) -> Coded:
    """Replace raw ids by codes, and `timestamp` or `order` by an int64 `time`.

    A `Datetime` becomes microseconds, so that no order below a second is lost; integers stay as they are.
    """
    schema = interactions.collect_schema()
    column = "timestamp" if "timestamp" in schema else "order"
    time = pl.col(column)
    if isinstance(schema[column], pl.Datetime):
        time = time.dt.epoch("us")
    events = interactions.select("user_id", "item_id", time.cast(pl.Int64).alias("time")).collect()
    user_ids, item_ids = (events.get_column(name).unique().sort() for name in ("user_id", "item_id"))
    return Coded(
        events.select(_codes("user_id", user_ids), _codes("item_id", item_ids), "time"),
        user_ids,
        item_ids,
    )


def _codes(column: str, ids: pl.Series) -> pl.Expr:
    codes = pl.Series(np.arange(len(ids), dtype=np.uint32))
    return pl.col(column).replace_strict(ids, codes, return_dtype=pl.UInt32).alias(column.removesuffix("_id"))


def repeat_share(events: pl.DataFrame) -> float:
    """Share of events that come again at another time: the same user, the same item, not the same `time`.

    >>> events = pl.DataFrame({"user": [0, 0, 0, 0], "item": [1, 1, 1, 2], "time": [5, 5, 6, 7]})
    >>> round(repeat_share(events), 3)  # of the distinct events (1, 5), (1, 6), (2, 7) one repeats
    0.333
    """
    distinct = events.lazy().unique().select("user", "item")
    total, pairs = pl.collect_all([distinct.select(pl.len()), distinct.unique().select(pl.len())])
    return 1 - pairs.item() / total.item() if total.item() else 0.0


def without_duplicates(events: pl.DataFrame) -> pl.DataFrame:
    """One event for each (user, item, time)."""
    return events.unique(["user", "item", "time"])


def without_repeats(events: pl.DataFrame) -> pl.DataFrame:
    """One event for each (user, item): the earliest."""
    return events.group_by("user", "item").agg(pl.col("time").min())


def k_core(events: pl.DataFrame, k: int) -> pl.DataFrame:
    """The largest part in which every user and every item has at least `k` events.

    Users and items with fewer are removed together, again and again until none is left to remove. `k <= 1` changes
    nothing.

    Raises:
        DataError: when nothing is left.
    """
    total = len(events)
    while k > 1 and len(events):
        users, items = (events.get_column(name).to_numpy() for name in ("user", "item"))
        keep = (np.bincount(users)[users] >= k) & (np.bincount(items)[items] >= k)
        if keep.all():
            break
        events = events.filter(pl.Series(keep))
    if total and not len(events):
        raise DataError(f"no event is left after the {k}-core of {total:,} events: lower k_core (0 keeps everything)")
    return events


def in_order(events: pl.DataFrame, ties: Ties, seed: int) -> pl.DataFrame:
    """Sort by user, then time; equal times as `ties` and `seed` say, whatever order the rows came in."""
    users, items = (events.get_column(name).to_numpy() for name in ("user", "item"))
    tie = pl.Series("tie", ties.key(users, items, seed))
    return events.with_columns(tie).sort("user", "time", "tie", "item").drop("tie")


def renumber(coded: Coded) -> Coded:
    """Close the gaps that cleaning left: codes are `0 .. count - 1` again, still in the order of the raw ids."""
    columns, ids = [], []
    for name, raw in (("user", coded.user_ids), ("item", coded.item_ids)):
        codes = coded.events.get_column(name).to_numpy()
        alive = np.zeros(len(raw), dtype=bool)
        alive[codes] = True
        columns.append(pl.Series(name, (alive.cumsum() - 1)[codes].astype(np.uint32)))
        ids.append(raw.filter(pl.Series(alive)))
    return Coded(coded.events.with_columns(columns), *ids)
