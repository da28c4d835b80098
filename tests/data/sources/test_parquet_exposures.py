from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.datasets.prepare_slates import prepare_slates
from recsys.data.datasets.slate_log import SlateLog
from recsys.data.sources.parquet import ParquetExposures
from recsys.data.sources.source import SlateSource
from recsys.errors import ConfigurationError, DataError
from recsys.types.feedback import ChannelKind
from recsys.types.jagged import Jagged

FEEDBACK: dict[str, Any] = {"like": "binary", "watch_time": "seconds"}


@st.composite
def exposures(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Requests of up to four items, each at a time of its own; rows of a request need not stand together."""
    rows = []
    moments = draw(st.lists(st.integers(0, 99), min_size=1, max_size=5, unique=True))
    for request, time in enumerate(sorted(moments)):
        user = draw(st.integers(1, 2))
        for item in draw(st.lists(st.integers(3, 9), min_size=1, max_size=4, unique=True)):
            felt = {"like": draw(st.integers(0, 1)), "watch_time": draw(st.sampled_from([0.0, 1.5, 30.0]))}
            rows.append({"user_id": user, "item_id": item, "timestamp": time, "request_id": request, **felt})
    return rows


def read(rows: list[dict[str, Any]], **options: Any) -> SlateLog:
    with tempfile.TemporaryDirectory() as name:
        pl.DataFrame(rows).write_parquet(Path(name) / "exposures.parquet")
        return prepare_slates(ParquetExposures(name, FEEDBACK, click="like", **options))


def by_slot(log: SlateLog, name: str) -> list[float]:
    value = log.feedback[name].value
    assert isinstance(value, Jagged) and torch.equal(value.offsets, log.slates.offsets)
    return value.values.tolist()


@settings(max_examples=50)
@given(exposures(), st.randoms(use_true_random=False))
def test_what_was_written_is_read_in_any_order_of_rows(rows: list[dict[str, Any]], shuffle: random.Random) -> None:
    expected = sorted(rows, key=lambda row: (row["user_id"], row["timestamp"], row["item_id"]))
    shuffle.shuffle(rows)
    log = read(rows)
    item_ids = log.items.get_column("item_id").to_list()
    assert [item_ids[item] for item in log.slates.values.tolist()] == [row["item_id"] for row in expected]
    assert by_slot(log, "like") == [row["like"] for row in expected]
    assert by_slot(log, "watch_time") == [row["watch_time"] for row in expected]
    clicked = log.slates.offsets[log.clicks.row_ids()] + log.clicks.values
    assert clicked.tolist() == [number for number, row in enumerate(expected) if row["like"]]
    requests = [row["request_id"] for row in expected]
    assert log.requests.get_column("request_id").to_list() == list(dict.fromkeys(requests))
    alone = read(rows, request=None)
    assert len(alone) == len(rows) and torch.equal(alone.slates.values, log.slates.values)
    assert by_slot(alone, "watch_time") == by_slot(log, "watch_time")


ROWS = {"user_id": [7, 7, 8], "item_id": [5, 4, 5], "timestamp": [1, 1, 2], "request_id": ["a", "a", "b"]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    pl.DataFrame({**ROWS, "click": [1, 0, 0], "stars": [3.5, 0.0, 1.0]}).write_parquet(folder / "exposures.parquet")
    return folder


def test_one_table_is_enough(root: Path) -> None:
    source = ParquetExposures(root, {"click": "binary", "stars": "rating"})
    assert isinstance(source, SlateSource)
    log = prepare_slates(source)
    assert (log.name, len(log), log.num_users, log.num_items) == ("shop", 2, 2, 2)
    assert log.timed and not log.displayed
    assert {name: channel.kind for name, channel in log.feedback.items()} == {
        "click": ChannelKind.BINARY,
        "stars": ChannelKind.RATING,
    }
    assert log.describe().endswith("dropped: nothing; feedback: click, stars")


def test_features_and_groups_are_those_of_the_folder(root: Path) -> None:
    pl.DataFrame({"item_id": [4, 5], "categories": [["x"], ["y"]]}).write_parquet(root / "items.parquet")
    log = prepare_slates(ParquetExposures(root, {"click": "binary"}, group="categories"))
    assert log.items.get_column("group_name").to_list() == ["x", "y"]
    with pytest.raises(DataError, match="'items' has no column 'kind' to group items by; found item_id, categories"):
        ParquetExposures(root, {"click": "binary"}, group="kind").slates()


def test_the_click_is_feedback_of_kind_binary(root: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"click: 'like' is no feedback of kind binary; found click\."):
        ParquetExposures(root, {"click": "binary", "stars": "rating"}, click="like").slates()
    with pytest.raises(ConfigurationError, match=r"click: 'stars' is no feedback of kind binary; found none\."):
        ParquetExposures(root, {"stars": "rating"}, click="stars").slates()


def test_the_fingerprint_follows_content_and_what_is_read_of_it(root: Path, tmp_path: Path) -> None:
    first = ParquetExposures(root, {"click": "binary"}).slates().fingerprint
    assert ParquetExposures(root, {"click": "binary", "stars": "rating"}).slates().fingerprint != first
    assert ParquetExposures(root, {"click": "binary"}, request=None).slates().fingerprint != first
    moved = root.rename(tmp_path / "elsewhere")
    assert ParquetExposures(moved, {"click": "binary"}).slates().fingerprint == first


def test_what_is_not_there(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no table .exposures. in it; expected exposures\.parquet"):
        ParquetExposures(tmp_path, {"click": "binary"}).slates()
    with pytest.raises(DataError, match=r"column 'session' of table 'exposures' is missing"):
        ParquetExposures(root, {"click": "binary"}, request="session").slates()
