"""Raw interactions to clean, ordered events with contiguous indices.

Inside this module an event is a row of `user` and `item` (codes from 0 in the order of the raw ids), `time` (int64;
only its order counts here) and, where the log has both, `order` (int64: decides among equal times).
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
        events: `user`, `item`, `time`, perhaps `order`.
        user_ids: raw id of each user code, rising.
        item_ids: raw id of each item code, rising.
    """

    events: pl.DataFrame
    user_ids: pl.Series
    item_ids: pl.Series


def encode(interactions: pl.LazyFrame) -> Coded:
    """Replace raw ids by codes, and `timestamp` or `order` by an int64 `time`.

    A `Datetime` becomes microseconds, so that no order below a second is lost; integers stay as they are. Where both
    columns are there, `order` stays beside `time` and decides among equal times.
    """
    schema = interactions.collect_schema()
    order = pl.col("order").cast(pl.Int64)
    if "timestamp" in schema:
        time = pl.col("timestamp")
        time = time.dt.epoch("us") if isinstance(schema["timestamp"], pl.Datetime) else time.cast(pl.Int64)
        columns = [time.alias("time"), *([order] if "order" in schema else [])]
    else:
        columns = [order.alias("time")]
    events = interactions.select("user_id", "item_id", *columns).collect()
    user_ids, item_ids = (events.get_column(name).unique().sort() for name in ("user_id", "item_id"))
    return Coded(
        events.select(_codes("user_id", user_ids), _codes("item_id", item_ids), pl.exclude("user_id", "item_id")),
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
    distinct = events.lazy().select("user", "item", "time").unique()
    pairs = distinct.group_by("user", "item").len().select(pl.len().alias("pairs"), pl.col("len").sum().alias("events"))
    counts = pairs.collect().row(0, named=True)
    return 1 - counts["pairs"] / counts["events"] if counts["events"] else 0.0


def without_duplicates(events: pl.DataFrame) -> pl.DataFrame:
    """One event for each (user, item, time): the first in `order` where there is one."""
    return events.group_by("user", "item", "time").agg(pl.col("^order$").min())


def without_repeats(events: pl.DataFrame) -> pl.DataFrame:
    """One event for each (user, item): the earliest."""
    if "order" in events.columns:
        events = without_duplicates(events)
        return events.sort("time").unique(["user", "item"], keep="first", maintain_order=True)
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
    """Sort by user, then time; equal times by `order`, else as `ties` and `seed` say: never as the rows came."""
    users, items = (events.get_column(name).to_numpy() for name in ("user", "item"))
    tie = pl.Series("tie", ties.key(users, items, seed))
    order = [name for name in ("user", "time", "order", "tie", "item") if name == "tie" or name in events.columns]
    return events.with_columns(tie).sort(order).select("user", "item", "time")


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
