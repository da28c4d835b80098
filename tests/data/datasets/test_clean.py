from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.datasets import clean
from recsys.data.datasets.tie_breaking import TieByEvent, TieByItem
from recsys.errors import DataError

EVENTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=60)
IDS = st.one_of(
    st.lists(st.integers(-128, 127), min_size=1, max_size=30).map(lambda ids: pl.Series(ids, dtype=pl.Int8)),
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=9).map(lambda ids: pl.Series(ids, dtype=pl.UInt64)),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=9).map(lambda ids: pl.Series(ids, dtype=pl.Int64)),
    st.lists(st.text(max_size=3), min_size=1, max_size=9).map(lambda ids: pl.Series(ids, dtype=pl.String)),
)


def frame(events: list[tuple[int, int, int]]) -> pl.DataFrame:
    schema = {"user": pl.UInt32, "item": pl.UInt32, "time": pl.Int64}
    return pl.DataFrame(events, schema=schema, orient="row")


@given(IDS)
def test_codes_are_ranks_and_ids_come_back(ids: pl.Series) -> None:
    codes, distinct = clean.encode_ids(ids)
    assert codes.dtype == pl.UInt32 and distinct.dtype == ids.dtype
    assert distinct.to_list() == sorted(set(ids.to_list()))
    assert [distinct[code] for code in codes] == ids.to_list()


@given(EVENTS, st.sampled_from([True, False, None]), st.sampled_from([0.0, 0.2, 1.0]))
def test_duplicates_and_repeats_against_sets(
    events: list[tuple[int, int, int]], repeats: bool | None, threshold: float
) -> None:
    kept, decided, share = clean.without_duplicates(frame(events), repeats, threshold)
    distinct, pairs = set(events), {event[:2] for event in events}
    assert share == pytest.approx(1 - len(pairs) / len(distinct))
    assert decided == (share > threshold if repeats is None else repeats)
    first = {(user, item, min(t for u, i, t in events if (u, i) == (user, item))) for user, item in pairs}
    assert Counter(kept.rows()) == Counter(distinct if decided else first)


@given(EVENTS, st.integers(0, 5))
def test_k_core_is_the_fixed_point(events: list[tuple[int, int, int]], k: int) -> None:
    kept = list(events)
    while True:
        users, items = Counter(event[0] for event in kept), Counter(event[1] for event in kept)
        smaller = [event for event in kept if users[event[0]] >= k and items[event[1]] >= k]
        if len(smaller) == len(kept):
            break
        kept = smaller
    if kept:
        assert clean.k_core(frame(events), k).rows() == kept
    else:
        with pytest.raises(DataError, match=f"k_core={k} leaves none of {len(events)} events"):
            clean.k_core(frame(events), k)


@given(EVENTS, st.randoms(use_true_random=False), st.sampled_from([TieByItem(), TieByEvent()]))
def test_order_does_not_depend_on_the_order_of_rows(events: list, random: object, ties: TieByItem | TieByEvent) -> None:
    distinct = list({event[:2]: event for event in events}.values())
    shuffled = list(distinct)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    ordered = clean.in_order(frame(distinct), ties, 7)
    assert ordered.rows() == clean.in_order(frame(shuffled), ties, 7).rows()
    assert [(row[0], row[2]) for row in ordered.rows()] == sorted((user, time) for user, _, time in distinct)


def test_order_of_times_too_far_apart_to_pack() -> None:
    events = frame([(1, 0, 2**62), (1, 1, -(2**62)), (0, 2, 0)])
    assert clean.in_order(events, TieByItem(), 0).get_column("item").to_list() == [2, 1, 0]


def test_seed_changes_the_order_of_ties() -> None:
    events = frame([(0, item, 0) for item in range(20)])
    orders = {tuple(clean.in_order(events, TieByItem(), seed).get_column("item")) for seed in range(3)}
    assert len(orders) == 3


def test_datetimes_keep_their_microseconds() -> None:
    times = [datetime(2020, 1, 1, microsecond=micro, tzinfo=UTC) for micro in (2, 1)]
    log = pl.DataFrame({"user_id": ["a", "a"], "item_id": [9, 8], "timestamp": times})
    coded = clean.encode(log.lazy())
    assert coded.events.get_column("time").diff().to_list() == [None, -1]
    assert clean.in_order(coded.events, TieByItem(), 0).get_column("item").to_list() == [0, 1]


def test_order_decides_among_equal_timestamps_and_first_stays() -> None:
    log = pl.DataFrame(
        {"user_id": [1] * 4, "item_id": [7, 8, 9, 8], "timestamp": [5] * 4, "order": [3, 2, 1, 0]},
    )
    coded = clean.encode(log.lazy())
    kept, *_ = clean.without_duplicates(coded.events, False, 0.0)
    assert clean.in_order(kept, TieByItem(), 0).get_column("item").to_list() == [1, 2, 0]


def test_cleaning_counts_what_it_drops_and_closes_gaps() -> None:
    events = [(user, item, user + item) for user in (10, 20, 30) for item in (1, 2, 3)] + [(40, 9, 0), (10, 1, 11)]
    log = pl.DataFrame(events, schema=["user_id", "item_id", "timestamp"], orient="row")
    cleaned = clean.Cleaning(3, None, 0.01, TieByItem(), 0)(log.lazy())
    assert cleaned.counts == {
        "raw_events": 11,
        "repeat_share": 0.0,
        "dropped_duplicates": 1,
        "k_core": 3,
        "raw_users": 4,
        "raw_items": 4,
        "users_dropped_by_k_core": 1,
        "items_dropped_by_k_core": 1,
        "dropped_by_k_core": 1,
        "equal_time_share": 0.0,
        "events": 9,
    }
    assert cleaned.user_ids.to_list() == [10, 20, 30] and cleaned.item_ids.to_list() == [1, 2, 3]
    assert cleaned.events.rows()[:4] == [(0, 0, 11), (0, 1, 12), (0, 2, 13), (1, 0, 21)]
    assert not cleaned.repeats
