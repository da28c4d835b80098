from __future__ import annotations

import random
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.datasets.prepare_slates import prepare_slates
from recsys.data.datasets.slate_log import SlateLog
from recsys.data.sources.parquet import ParquetSlates
from recsys.data.sources.source import SlateSource
from recsys.errors import DataError
from recsys.types.jagged import Jagged


@st.composite
def impressions(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows in any order: few users and times, so that both come again."""
    rows = []
    for number in draw(st.lists(st.integers(0, 99), min_size=1, max_size=8, unique=True)):
        slate = draw(st.lists(st.integers(-3, 9), min_size=1, max_size=5, unique=True))
        clicks = draw(st.lists(st.integers(0, len(slate) - 1), max_size=len(slate), unique=True))
        rows.append(
            {
                "request_id": f"r{number}",
                "user_id": draw(st.integers(1, 3)),
                "timestamp": draw(st.integers(0, 3)),
                "slate": slate,
                "clicks": clicks,
                "slot_propensities": [draw(st.sampled_from([0.25, 1.0])) for _ in slate],
            }
        )
    return rows


def read(rows: list[dict[str, Any]]) -> SlateLog:
    with tempfile.TemporaryDirectory() as name:
        schema = {"clicks": pl.List(pl.Int64)}
        pl.DataFrame(rows, schema_overrides=schema).write_parquet(Path(name) / "impressions.parquet")
        return prepare_slates(ParquetSlates(name, name="log"))


def to_rows(jagged: Jagged) -> list[list[Any]]:
    return [jagged.values[start:end].tolist() for start, end in pairwise(jagged.offsets.tolist())]


@settings(max_examples=50)
@given(impressions(), st.randoms(use_true_random=False))
def test_what_was_written_is_read_in_any_order_of_rows(rows: list[dict[str, Any]], shuffle: random.Random) -> None:
    expected = sorted(rows, key=lambda row: (row["user_id"], row["timestamp"], row["request_id"]))
    shuffle.shuffle(rows)
    log = read(rows)
    item_ids, user_ids = log.items.get_column("item_id").to_list(), log.users.get_column("user_id").to_list()
    assert item_ids == sorted({item for row in rows for item in row["slate"]})
    assert [[item_ids[item] for item in slate] for slate in to_rows(log.slates)] == [row["slate"] for row in expected]
    assert to_rows(log.clicks) == [row["clicks"] for row in expected]
    assert log.slot_propensities is not None
    assert to_rows(log.slot_propensities) == [row["slot_propensities"] for row in expected]
    assert log.requests.get_column("request_id").to_list() == [row["request_id"] for row in expected]
    assert log.times().tolist() == [row["timestamp"] for row in expected]
    assert [user_ids[user] for user in log.user_indices().tolist()] == [row["user_id"] for row in expected]
    assert log.first_click().tolist() == [row["clicks"][0] if row["clicks"] else -1 for row in expected]


ROWS = {"request_id": [1, 2, 3], "user_id": [7, 7, 8], "timestamp": [1, 2, 3], "slate": [[5, 4], [9], [4, 9]]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    pl.DataFrame({**ROWS, "clicks": [[1], [], [0, 1]]}).write_parquet(folder / "impressions.parquet")
    return folder


def test_one_table_is_enough(root: Path) -> None:
    source = ParquetSlates(root)
    assert isinstance(source, SlateSource)
    log = prepare_slates(source)
    assert (log.name, len(log), log.num_users, log.num_items, log.num_groups) == ("shop", 3, 2, 3, 1)
    assert log.items.columns == ["item", "item_id", "group"]
    assert log.timed and log.displayed
    assert log.propensity is None and log.prefix_propensities is None and log.slot_propensities is None
    assert log.requests.get_column("source").to_list() == [None] * 3


def test_features_are_found_by_name(root: Path) -> None:
    pl.DataFrame({"item_id": [4, 5], "categories": [["x", "y"], ["x"]]}).write_parquet(root / "items.parquet")
    pl.DataFrame({"user_id": [8], "age": [30]}).write_parquet(root / "users.parquet")
    log = prepare_slates(ParquetSlates(root, group="categories"))
    assert log.items.select("item_id", "group_name", "group").rows() == [(4, "x | y", 1), (5, "x", 0), (9, None, 2)]
    assert log.users.rows() == [(0, 7, None), (1, 8, 30)]


def test_further_feedback_is_named_with_its_kind(root: Path) -> None:
    frame = pl.read_parquet(root / "impressions.parquet")
    frame.with_columns(read_time=pl.Series([1.5, 0.0, 2.0])).write_parquet(root / "impressions.parquet")
    log = prepare_slates(ParquetSlates(root, feedback={"read_time": "seconds"}))
    assert list(log.feedback) == ["read_time"] and log.feedback["read_time"].value.tolist() == [1.5, 0.0, 2.0]
    with pytest.raises(DataError, match="column 'likes' of table 'impressions' is missing"):
        ParquetSlates(root, feedback={"likes": "count"}).slates()


def test_a_table_may_be_a_folder_elsewhere(root: Path, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    frame = pl.read_parquet(root / "impressions.parquet")
    for request in (1, 2, 3):
        (parts / f"day={request}").mkdir(parents=True)
        frame.filter(pl.col("request_id") == request).write_parquet(parts / f"day={request}" / "0.parquet")
    whole, split = (prepare_slates(ParquetSlates(root, place)) for place in (None, parts))
    assert torch.equal(whole.slates.values, split.slates.values) and torch.equal(
        whole.clicks.offsets, split.clicks.offsets
    )
    assert whole.fingerprint != split.fingerprint


def test_the_fingerprint_follows_content_and_not_place(root: Path, tmp_path: Path) -> None:
    first = ParquetSlates(root).slates().fingerprint
    moved = root.rename(tmp_path / "elsewhere")
    assert ParquetSlates(moved).slates().fingerprint == first
    pl.DataFrame({"item_id": [4]}).write_parquet(moved / "items.parquet")
    assert ParquetSlates(moved).slates().fingerprint != first


def test_a_url_is_a_place_too(root: Path) -> None:
    tables = ParquetSlates(f"file://{root}", impressions=f"file://{root}/impressions.parquet").slates()
    assert tables.name == "shop" and len(tables.impressions.collect()) == 3


def test_what_is_not_there(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no table .impressions. in it; expected impressions\.parquet"):
        ParquetSlates(tmp_path).slates()
    with pytest.raises(DataError, match="'items' has no column 'kind' to group items by; found no such table"):
        ParquetSlates(root, group="kind").slates()
    pl.DataFrame({"item_id": [4]}).write_parquet(root / "items.parquet")
    with pytest.raises(DataError, match="'items' has no column 'kind' to group items by; found item_id"):
        ParquetSlates(root, group="kind").slates()


def test_ids_of_two_kinds_cannot_be_compared(root: Path) -> None:
    pl.DataFrame({"item_id": ["4"]}).write_parquet(root / "items.parquet")
    with pytest.raises(DataError, match=r"'item_id' is String in .*items.parquet and Int64 in .*impressions.parquet"):
        ParquetSlates(root).slates()


def test_text_without_lists_is_refused(tmp_path: Path) -> None:
    (tmp_path / "impressions.csv").write_text("request_id,user_id,timestamp,slate,clicks\n1,2,3,4 5,0\n")
    with pytest.raises(DataError, match=r"impressions.csv: column 'slate' .* holds String, expected lists of integers"):
        ParquetSlates(tmp_path).slates()
