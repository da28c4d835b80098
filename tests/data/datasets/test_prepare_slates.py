from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from recsys.data.datasets.prepare_slates import PreparedSlates, prepare_slates
from recsys.data.datasets.slate_log import LoggedChannel, SlateLog
from recsys.data.datasets.split import SlateSplit
from recsys.data.sources.source import SlateTables
from recsys.errors import DataError
from recsys.types.feedback import ChannelKind
from recsys.types.jagged import Jagged
from tests.slate_logs import tiny_log


@dataclass
class Frames:
    """A source over frames in memory."""

    columns: Mapping[str, Any]
    items: pl.DataFrame | None = None
    group: str | None = None
    feedback: Mapping[str, ChannelKind] = field(default_factory=dict)
    histories: pl.DataFrame | None = None

    def slates(self) -> SlateTables:
        rows = {
            "request_id": ["b", "a", "c"],
            "user_id": [2, 2, 1],
            "timestamp": [5, 5, 9],
            "slate": [[30, 10], [20], [10, 20, 30]],
            "clicks": [[0], [], [2, 1]],
        }
        items = None if self.items is None else self.items.lazy()
        impressions = pl.LazyFrame({**rows, **self.columns})
        return SlateTables(
            impressions,
            "frames",
            "f",
            items,
            group=self.group,
            dropped={"broken_slates": 4},
            feedback=self.feedback,
            histories=None if self.histories is None else self.histories.lazy(),
        )


def test_the_order_is_user_then_time_then_request() -> None:
    log = prepare_slates(Frames({"propensity": [0.5, 0.25, 0.125]}))
    assert log.requests.get_column("request_id").to_list() == ["c", "a", "b"]
    assert log.user_offsets.tolist() == [0, 1, 3]
    assert log.slates.values.tolist() == [0, 1, 2, 1, 2, 0] and log.slates.offsets.tolist() == [0, 3, 4, 6]
    assert log.clicks.values.tolist() == [2, 1, 0] and log.clicks.offsets.tolist() == [0, 2, 2, 3]
    assert log.propensity is not None and log.propensity.tolist() == [0.125, 0.25, 0.5]
    assert log.propensity.dtype == torch.float64


def test_times_below_a_second_order_impressions() -> None:
    times = [datetime(1970, 1, 1, 0, 0, 7, 900), datetime(1970, 1, 1, 0, 0, 7, 950), datetime(1970, 1, 2)]
    log = prepare_slates(Frames({"timestamp": times}))
    assert log.requests.get_column("request_id").to_list() == ["c", "b", "a"]
    assert log.times().tolist() == [86_400, 7, 7]


def test_sources_travel() -> None:
    log = prepare_slates(Frames({"source": ["search", None, "recommendation"]}))
    assert log.requests.get_column("source").to_list() == ["recommendation", None, "search"]


def test_items_that_the_table_does_not_know_are_items_and_share_the_last_group() -> None:
    items = pl.DataFrame(
        {"item_id": [40, 30, 10], "group": [1, 7, 2], "item": ["x", "y", "z"], "title": ["D", "C", "A"]}
    )
    log = prepare_slates(Frames({}, items, group="group"))
    assert log.items.rows(named=True) == [
        {"item": 0, "item_id": 10, "title": "A", "group_name": 2, "group": 0},
        {"item": 1, "item_id": 20, "title": None, "group_name": None, "group": 2},
        {"item": 2, "item_id": 30, "title": "C", "group_name": 7, "group": 1},
    ]
    assert log.num_groups == 3 and log.summary["items_without_impressions"] == 1


def test_ids_that_do_not_fit_the_slates_are_of_other_items() -> None:
    slate = pl.Series([[30, 10], [20], [10, 20, 30]], dtype=pl.List(pl.Int8))
    log = prepare_slates(Frames({"slate": slate}, pl.DataFrame({"item_id": [10, 1000], "title": ["A", "B"]})))
    assert log.items.get_column("title").to_list() == ["A", None, None]
    assert log.summary["items_without_impressions"] == 1


def test_lists_of_propensities_travel_with_their_slates() -> None:
    lists = [[0.5, 0.25], [1.0], [0.1, 0.2, 0.3]]
    log = prepare_slates(Frames({"prefix_propensities": lists, "slot_propensities": [*lists[:2], [0.3, 0.2, 0.1]]}))
    assert log.prefix_propensities is not None and log.slot_propensities is not None
    assert log.prefix_propensities.values.tolist() == [0.1, 0.2, 0.3, 1.0, 0.5, 0.25]
    assert log.slot_propensities.values.tolist()[:3] == [0.3, 0.2, 0.1]
    assert log.prefix_propensities.offsets.tolist() == log.slates.offsets.tolist()


def test_feedback_travels_with_its_slates_and_slots() -> None:
    columns = {"stars": [3, 4, 5], "seconds": [[1.5, 0.0], [2.0], [3.0, 4.0, 5.0]]}
    kinds = {"stars": ChannelKind.RATING, "seconds": ChannelKind.SECONDS}
    log = prepare_slates(Frames(columns, feedback=kinds))
    stars, seconds = log.feedback["stars"], log.feedback["seconds"]
    assert isinstance(stars.value, torch.Tensor) and stars.value.tolist() == [5, 4, 3]
    assert stars.kind is ChannelKind.RATING and seconds.kind is ChannelKind.SECONDS
    assert isinstance(seconds.value, Jagged) and seconds.value.values.tolist() == [3, 4, 5, 2, 1.5, 0]
    assert seconds.value.offsets.tolist() == log.slates.offsets.tolist()
    assert log.describe().endswith("; feedback: stars, seconds")


def test_what_users_took_before_joins_the_catalogue() -> None:
    histories = pl.DataFrame({"user_id": [9, 1], "items": [[20], [40, 10]]}, schema_overrides={"user_id": pl.Int32})
    log = prepare_slates(Frames({}, histories=histories))
    assert log.items.get_column("item_id").to_list() == [10, 20, 30, 40]
    assert log.before is not None
    assert log.before.to_padded(-1).tolist() == [[3, 0], [-1, -1]]
    assert log.slates.values.tolist() == [0, 1, 2, 1, 2, 0]


def test_a_log_without_any_click() -> None:
    log = prepare_slates(Frames({"clicks": pl.Series([[], [], []], dtype=pl.List(pl.Int64))}))
    assert len(log.clicks) == 3 and log.clicks.values.tolist() == [] and log.summary["without_click"] == 3
    assert log.first_click().tolist() == [-1, -1, -1]


def test_an_empty_list_of_categories_is_no_group() -> None:
    items = pl.DataFrame({"item_id": [10, 20, 30], "categories": [["b", "a"], [], ["a", "b"]]})
    log = prepare_slates(Frames({}, items, group="categories"))
    assert log.items.get_column("group").to_list() == [1, 2, 0]
    assert log.items.get_column("group_name").to_list() == ["b | a", None, "a | b"]


@pytest.mark.parametrize("items", [None, pl.DataFrame({"item_id": [10], "group": ["x"]})])
def test_without_groups_all_items_are_in_group_0(items: pl.DataFrame | None) -> None:
    log = prepare_slates(Frames({}, items))
    assert log.items.get_column("group").to_list() == [0, 0, 0] and log.num_groups == 1


def test_what_was_found_and_dropped_is_counted_and_said() -> None:
    log = prepare_slates(Frames({}))
    assert log.summary == {
        "users": 2,
        "items": 3,
        "groups": 1,
        "items_without_impressions": 0,
        "impressions": 3,
        "clicks": 3,
        "without_click": 1,
        "broken_slates": 4,
    }
    assert log.describe() == (
        "frames: 2 users, 3 items, 3 slates, 3 clicks, 33.3% of the slates without one; dropped: 4 broken_slates"
    )


MASK = torch.arange(10) % 2 == 0
SPLIT = SlateSplit(MASK, ~MASK, torch.zeros(10, dtype=torch.bool))


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Jagged):
        return torch.equal(one.values, other.values) and torch.equal(one.offsets, other.offsets)
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, LoggedChannel):
        return one.kind is other.kind and same(one.value, other.value)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(part, other[name]) for name, part in one.items())
    return one.equals(other) if isinstance(one, pl.DataFrame) else one == other


def with_propensities() -> SlateLog:
    log = tiny_log()
    each = Jagged(torch.rand(len(log.slates.values), dtype=torch.float64), log.slates.offsets)
    summary = {"users": 4, "without_click": 3}
    return replace(log, propensity=torch.rand(10).double(), prefix_propensities=each, summary=summary)


def with_feedback() -> SlateLog:
    log = tiny_log()
    each = Jagged(torch.rand(len(log.slates.values)), log.slates.offsets)
    feedback = {
        "watch.time": LoggedChannel(each, ChannelKind.SECONDS),
        "stars": LoggedChannel(torch.rand(10), ChannelKind.RATING),
    }
    return replace(log, feedback=feedback, before=Jagged.from_rows([[5], [], [0, 1], []]))


@pytest.mark.parametrize(
    "log", [tiny_log(), with_propensities(), with_feedback()], ids=["plain", "propensities", "feedback"]
)
def test_what_is_read_is_what_was_written(log: SlateLog, tmp_path: Path) -> None:
    PreparedSlates(log, SPLIT).save(tmp_path)
    read = PreparedSlates.load(tmp_path)
    found, split = read.log, read.split
    for part in fields(SlateLog):
        assert same(getattr(log, part.name), getattr(found, part.name)), part.name
    assert split.fingerprint == SPLIT.fingerprint
    assert all(same(getattr(SPLIT, field.name), getattr(split, field.name)) for field in fields(SlateSplit))


def test_another_split_has_another_fingerprint() -> None:
    assert replace(SPLIT, train=SPLIT.validation, validation=SPLIT.train).fingerprint != SPLIT.fingerprint


def test_users_are_asked_about_by_their_raw_ids() -> None:
    log = prepare_slates(Frames({}, histories=pl.DataFrame({"user_id": [1], "items": [[40, 20]]})))
    held = torch.zeros(3, dtype=torch.bool)
    slates = PreparedSlates(log, SlateSplit(~held, held, held))
    found = slates.recommend_context([2, "1", 2])
    ids = slates.items["item_id"].to_numpy()
    assert found.users.tolist() == [1, 0, 1] and not found.restricts
    histories = [ids[row.numpy()].tolist() for row in found.history.values.split(found.history.lengths.tolist())]
    assert histories == [[30], [40, 20, 20, 30], [30]], "what was before the log comes first"
    assert slates.num_items == 4 and slates.slots == 3 and slates.users["user_id"].to_list() == [1, 2]
    with pytest.raises(DataError, match=r"user '3' is not in frames, which has 2 users, such as 1"):
        slates.recommend_context([1, 3])
