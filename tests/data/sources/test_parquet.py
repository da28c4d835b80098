from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from recsys.data.datasets.prepare import prepare
from recsys.data.datasets.split import LeaveOneOut
from recsys.data.sources.parquet import ParquetTables
from recsys.data.sources.source import Source
from recsys.errors import DataError

EVENTS = pl.DataFrame(
    {"user_id": [1, 1, 1, 2, 2, 2], "item_id": ["a", "b", "c", "b", "c", "a"], "order": [0, 1, 2, 0, 1, 2]}
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    EVENTS.write_parquet(folder / "interactions.parquet")
    return folder


def test_one_table_is_enough(root: Path) -> None:
    tables = ParquetTables(root).tables()
    assert isinstance(ParquetTables(root), Source)
    assert tables.name == "shop" and tables.items is None and tables.users is None
    assert tables.interactions.collect().equals(EVENTS)


def test_features_are_found_by_name(root: Path) -> None:
    pl.DataFrame({"item_id": ["a"], "title": ["A"]}).write_parquet(root / "items.parquet")
    (root / "users.csv").write_text("user_id,age\n1,30\n")
    tables = ParquetTables(root, name="mine").tables()
    assert tables.name == "mine" and tables.items is not None and tables.users is not None
    assert tables.items.collect().rows() == [("a", "A")] and tables.users.collect().rows() == [(1, "30")]


def test_partitions_give_the_same_data_as_one_file(root: Path, tmp_path: Path) -> None:
    parts = tmp_path / "parts" / "interactions"
    for user in (1, 2):
        (parts / f"shard={user}").mkdir(parents=True)
        EVENTS.filter(pl.col("user_id") == user).write_parquet(parts / f"shard={user}" / "0.parquet")
    whole, split = (
        prepare(ParquetTables(folder), LeaveOneOut(), k_core=0, root=tmp_path / "prepared")
        for folder in (root, parts.parent)
    )
    assert whole.complete.history.values.tolist() == split.complete.history.values.tolist() == [0, 1, 2, 1, 2, 0]
    assert whole.fingerprint != split.fingerprint


def test_the_fingerprint_follows_content_and_not_place(root: Path, tmp_path: Path) -> None:
    first = ParquetTables(root).tables().fingerprint
    moved = root.rename(tmp_path / "elsewhere")
    assert ParquetTables(moved).tables().fingerprint == first
    EVENTS.with_columns(order=2 - pl.col("order")).write_parquet(moved / "interactions.parquet")
    assert ParquetTables(moved).tables().fingerprint != first


def test_a_url_is_a_place_too(root: Path) -> None:
    tables = ParquetTables(f"file://{root}", interactions=f"file://{root}/interactions.parquet").tables()
    assert tables.interactions.collect().equals(EVENTS)
    assert tables.fingerprint != ParquetTables(root).tables().fingerprint


def test_ids_of_two_kinds_cannot_be_compared(root: Path) -> None:
    pl.DataFrame({"item_id": [1], "title": ["A"]}).write_parquet(root / "items.parquet")
    with pytest.raises(DataError, match=r"'item_id' is Int64 in .*items.parquet and String in .*interactions.parquet"):
        ParquetTables(root).tables()


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such folder; expected one that holds interactions.parquet"):
        ParquetTables(tmp_path / "none").tables()
    with pytest.raises(DataError, match="no table 'interactions' in it"):
        ParquetTables(tmp_path).tables()


def test_a_rating_that_is_no_number_is_refused_with_its_file_and_row(root: Path) -> None:
    rated = EVENTS.with_columns(rating=pl.Series([5.0, None, float("nan"), 1.0, 2.0, 3.0]))
    rated.write_parquet(root / "interactions.parquet")
    with pytest.raises(
        DataError, match=r"shop/interactions\.parquet, row 2 \(from 0\), column 'rating': nan is no rating"
    ):
        ParquetTables(root).tables()
