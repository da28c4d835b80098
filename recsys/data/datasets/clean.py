"""Turn raw interactions into clean, ordered events with contiguous indices.

In this module an event is a row with `user` and `item` (codes from 0 in the order of the raw ids), `time` (int64; only
its order matters here) and, if the log has both columns, `order` (int64; it orders events of equal time).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from recsys.data.datasets.selection import Selection
from recsys.data.datasets.tie_breaking import TieBreaking
from recsys.errors import DataError

MICROSECONDS = 1_000_000

SMALL_INTEGERS = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32)
"""Integer types whose values fit into int64."""


@dataclass(frozen=True)
class EncodedEvents:
    """Events with integer codes, and the raw ids of the codes.

    Args:
        events: columns `user`, `item`, `time` and, optionally, `order`.
        user_ids: raw id of each user code, ascending.
        item_ids: raw id of each item code, ascending.
    """

    events: pl.DataFrame
    user_ids: pl.Series
    item_ids: pl.Series


@dataclass(frozen=True)
class CleanedEvents:
    """Clean, ordered events.

    Args:
        events: columns `user`, `item` and `time`, sorted by user, oldest first.
        user_ids: raw id of each user index, ascending.
        item_ids: raw id of each item index, ascending.
        repeats: whether users may interact with an item again.
        counts: numbers of events that were found, dropped and kept.
    """

    events: pl.DataFrame
    user_ids: pl.Series
    item_ids: pl.Series
    repeats: bool
    counts: dict[str, float]


@dataclass(frozen=True)
class Cleaning:
    """The cleaning of raw interactions. The options are those of `prepare`."""

    k_core: int
    repeats: bool | None
    repeat_threshold: float
    tie_breaking: TieBreaking
    seed: int
    selection: Selection = field(default_factory=Selection)

    def __call__(self, interactions: pl.LazyFrame) -> CleanedEvents:
        """Select, encode the ids, drop duplicates, take the k-core, renumber, and sort.

        The counts say what each rule dropped. `equal_time_share` is the share of the kept events that have the time
        (and the `order`, if there is one) of the user's event before, so that `tie_breaking` orders them.
        """
        selected, counts = self.selection(interactions)
        coded = encode(selected)
        left_out = sum(counts.get(name, 0) for name in ("below_min_rating", "other_events"))
        raw = len(coded.events) + left_out
        events, repeats, share = without_duplicates(coded.events, self.repeats, self.repeat_threshold)
        distinct = len(events)
        users, items = len(coded.user_ids), len(coded.item_ids)
        coded = renumber(EncodedEvents(k_core(events, self.k_core), coded.user_ids, coded.item_ids))
        equal_times = equal_time_share(coded.events)
        events = in_order(coded.events, self.tie_breaking, self.seed)
        counts |= {
            "raw_events": raw,
            "repeat_share": share,
            "dropped_duplicates": raw - left_out - distinct,
            "k_core": self.k_core,
            "raw_users": users,
            "raw_items": items,
            "users_dropped_by_k_core": users - len(coded.user_ids),
            "items_dropped_by_k_core": items - len(coded.item_ids),
            "dropped_by_k_core": distinct - len(events),
            "equal_time_share": equal_times,
            "events": len(events),
        }
        return CleanedEvents(events, coded.user_ids, coded.item_ids, repeats, counts)


def encode(interactions: pl.LazyFrame) -> EncodedEvents:
    """Replace raw ids by codes, and `timestamp` or `order` by an int64 column `time`.

    A `Datetime` becomes microseconds, which keeps the order within a second. Integers stay as they are. If the log has
    both columns, `order` is kept and orders events of equal time.
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
    users, user_ids = encode_ids(events.drop_in_place("user_id"))
    items, item_ids = encode_ids(events.drop_in_place("item_id"))
    return EncodedEvents(
        events.select(pl.Series("user", users), pl.Series("item", items), pl.all()), user_ids, item_ids
    )


def encode_ids(ids: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return the rank of each id among the distinct ids (uint32, from 0), and the distinct ids, ascending.

    >>> rank, distinct = encode_ids(pl.Series([30, 10, 30]))
    >>> rank.to_list(), distinct.to_list()
    ([1, 0, 1], [10, 30])
    """
    if len(ids) and ids.dtype in SMALL_INTEGERS:
        values = ids.to_numpy().astype(np.int64, copy=False)
        low, high = int(values.min()), int(values.max())
        if high - low < 4 * len(ids):
            steps = values - low
            seen = np.zeros(high - low + 1, dtype=bool)
            seen[steps] = True
            distinct = pl.Series(seen.nonzero()[0] + low).cast(ids.dtype)
            return pl.Series((seen.cumsum(dtype=np.uint32) - 1)[steps]), distinct
    distinct = ids.unique().sort()
    return ids.replace_strict(distinct, pl.Series(np.arange(len(distinct), dtype=np.uint32))), distinct


def without_duplicates(
    events: pl.DataFrame, repeats: bool | None, threshold: float
) -> tuple[pl.DataFrame, bool, float]:
    """Drop duplicate events: keep one event of each (user, item, time), or one of each (user, item) without repeats.

    The earliest event is kept; among equal times, the first by `order`, if there is such a column.

    Args:
        events: events as the module describes them.
        repeats: whether users may interact with an item again. None decides by whether the share of repeats exceeds
            `threshold`: the share of events, distinct in (user, item, time), whose (user, item) has an earlier event.
        threshold: threshold of that share.

    Returns:
        The kept events, whether users may interact with an item again, and the share of repeats.

    >>> events = pl.DataFrame({"user": [0, 0, 0, 0], "item": [1, 1, 1, 2], "time": [5, 5, 6, 7]})
    >>> kept, repeats, share = without_duplicates(events, None, 0.5)  # of (1, 5), (1, 6), (2, 7) one repeats
    >>> kept.rows(), repeats, round(share, 3)
    ([(0, 1, 5), (0, 2, 7)], False, 0.333)
    """
    width = pl.col("item").max().cast(pl.UInt64) + 1
    pairs = events.with_columns((pl.col("user").cast(pl.UInt64) * width + pl.col("item")).alias("pair"))
    if pairs.get_column("pair").n_unique() == len(pairs):
        return events, bool(repeats), 0.0
    order = [name for name in ("pair", "time", "order") if name in pairs.columns]
    pairs = pairs.sort(order)
    new_pair = pl.col("pair").ne_missing(pl.col("pair").shift())
    new_event = new_pair | pl.col("time").ne_missing(pl.col("time").shift())
    firsts = pairs.select(new_pair.alias("pair"), new_event.alias("event"))
    share = 1 - int(firsts.get_column("pair").sum()) / int(firsts.get_column("event").sum())
    repeats = share > threshold if repeats is None else repeats
    return pairs.drop("pair").filter(firsts.get_column("event" if repeats else "pair")), repeats, share


def k_core(events: pl.DataFrame, k: int) -> pl.DataFrame:
    """Return the `k`-core: the largest set of events in which every user and every item has at least `k`.

    Users and items with fewer events are removed repeatedly until none is left to remove. `k <= 1` changes nothing.

    Raises:
        DataError: no event is left. The message says how many users and items have fewer than `k` of all events.
    """
    everything = events
    while k > 1 and len(events):
        users, items = (events.get_column(name).to_numpy() for name in ("user", "item"))
        keep = (np.bincount(users)[users] >= k) & (np.bincount(items)[items] >= k)
        if keep.all():
            break
        events = events.filter(pl.Series(keep))
    if not len(events):
        few = []
        for name in ("user", "item"):
            counts = everything.get_column(name).value_counts().get_column("count")
            few.append(f"{int((counts < k).sum()):,} of {len(counts):,} {name}s")
        raise DataError(
            f"data.k_core={k} leaves none of {len(everything):,} events: {few[0]} and {few[1]} have fewer than {k}"
            " events. Lower it; 0 keeps everything"
        )
    return events


def equal_time_share(events: pl.DataFrame) -> float:
    """Return the share of events that have the time, and the `order` if there is one, of the user's event before.

    >>> equal_time_share(pl.DataFrame({"user": [0, 0, 0, 1], "item": [1, 2, 3, 1], "time": [5, 5, 6, 5]}))
    0.25
    """
    names = [name for name in ("user", "time", "order") if name in events.columns]
    return 1 - events.select(pl.struct(names).n_unique()).item() / max(len(events), 1)


def in_order(events: pl.DataFrame, tie_breaking: TieBreaking, seed: int) -> pl.DataFrame:
    """Sort events by user and time, equal times by `order` and then by `tie_breaking` with `seed`, never by row."""
    users, items = (events.get_column(name).to_numpy() for name in ("user", "item"))
    events = events.with_columns(pl.Series("tie", tie_breaking.key(users, items, seed)))
    times = events.get_column("time").to_numpy()
    start, end = int(times.min()), int(times.max())
    if (int(users.max()) + 1) * (end - start + 1) < 2**63:
        when = [pl.col("user").cast(pl.Int64) * (end - start + 1) + pl.col("time") - start]
    else:
        when = [pl.col("user"), pl.col("time")]
    return events.sort(*when, *(name for name in ("order", "tie") if name in events.columns)).select(
        "user", "item", "time"
    )


def renumber(coded: EncodedEvents) -> EncodedEvents:
    """Renumber users and items after cleaning: codes are `0 .. count - 1`, in the order of the raw ids."""
    columns, ids = [], []
    for name, raw in (("user", coded.user_ids), ("item", coded.item_ids)):
        old = coded.events.get_column(name).to_numpy()
        present = np.zeros(len(raw), dtype=bool)
        present[old] = True
        columns.append(pl.Series(name, (present.cumsum() - 1)[old].astype(np.uint32)))
        ids.append(raw.filter(pl.Series(present)))
    return EncodedEvents(coded.events.with_columns(columns), *ids)
