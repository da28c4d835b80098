from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys.data.tables.canonical import INTERACTIONS, ITEMS
from recsys.data.tables.schema import read_table
from recsys.errors import DataError

GOOD: dict[str, list[Any]] = {"user_id": [1, 2, 3], "item_id": ["a", "b", "a"], "timestamp": [10, 20, 30]}


def write(folder: Path, **changes: Any) -> Path:
    columns = {name: values for name, values in {**GOOD, **changes}.items() if values is not None}
    path = folder / "interactions.parquet"
    pl.DataFrame(columns).write_parquet(path)
    return path


def test_a_good_table_comes_back_with_its_extra_columns(tmp_path: Path) -> None:
    path = write(tmp_path, shop=["x", "y", "z"], rating=[1, 2, 3], event=["click"] * 3)
    assert read_table(path, INTERACTIONS).collect().equals(pl.read_parquet(path))


@pytest.mark.parametrize("time", [{"timestamp": [datetime(2024, 1, 1)] * 3}, {"timestamp": None, "order": [0, 1, 2]}])
def test_times_may_be_datetimes_or_an_order(tmp_path: Path, time: dict[str, Any]) -> None:
    assert len(read_table(write(tmp_path, **time), INTERACTIONS).collect()) == 3


def test_categorical_ids_become_strings(tmp_path: Path) -> None:
    path = write(tmp_path, item_id=pl.Series(["a", "b", "a"], dtype=pl.Categorical))
    assert read_table(path, INTERACTIONS).collect_schema()["item_id"] == pl.String


MALFORMED = {
    "missing": ({"user_id": None}, "column 'user_id' of table 'interactions' is missing; found item_id, timestamp"),
    "no time": ({"timestamp": None}, "needs a column 'timestamp' or 'order'"),
    "float ids": ({"user_id": [1.0, 2.0, 3.0]}, "column 'user_id' .* holds Float64, expected integers or strings"),
    "text times": ({"timestamp": ["1", "2", "3"]}, "'timestamp' .* holds String, expected integer seconds"),
    "dates": ({"timestamp": [date(2024, 1, 1)] * 3}, "'timestamp' .* holds Date, expected integer seconds"),
    "text ratings": ({"rating": ["good"] * 3}, "'rating' .* expected numbers"),
    "null id": ({"item_id": ["a", None, None]}, r"row 1 \(from 0\), column 'item_id': found null, in 2 row"),
    "null time": ({"timestamp": [1, 2, None]}, r"row 2 \(from 0\), column 'timestamp': found null"),
    "milliseconds": (
        {"timestamp": [10, 1_700_000_000_000, 5]},
        r"row 1 \(from 0\), column 'timestamp': 1700000000000 looks like milliseconds or finer, expected seconds",
    ),
    "empty": ({"user_id": [], "item_id": [], "timestamp": []}, "'user_id' .* holds Null"),
}


@pytest.mark.parametrize(("changes", "message"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_tables_name_file_column_and_row(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(DataError, match=message) as caught:
        read_table(path, INTERACTIONS)
    assert str(path) in str(caught.value)


def test_a_table_without_rows(tmp_path: Path) -> None:
    path = write(tmp_path)
    pl.read_parquet(path).clear().write_parquet(path)
    with pytest.raises(DataError, match="table 'interactions' has no rows"):
        read_table(path, INTERACTIONS)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_a_truncated_file(tmp_path: Path, share: float) -> None:
    path = write(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match=r"interactions.parquet cannot be read: .*damaged, truncated"):
        read_table(path, INTERACTIONS)


def test_a_key_that_comes_twice(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    pl.DataFrame({"item_id": [7, 8, 7], "title": ["a", "b", "c"]}).write_parquet(path)
    with pytest.raises(DataError, match=r"row 2 \(from 0\), column 'item_id': 7 occurs twice"):
        read_table(path, ITEMS)


@pytest.mark.parametrize("categories", [[["a"], []], ["a, b", "c"]])
def test_categories_are_lists_or_strings(tmp_path: Path, categories: list[Any]) -> None:
    path = tmp_path / "items.parquet"
    frame = pl.DataFrame({"item_id": [7, 8], "categories": categories})
    frame.write_parquet(path)
    assert read_table(path, ITEMS).collect().equals(frame)


def text(folder: Path, content: str) -> Path:
    path = folder / "interactions.csv"
    path.write_text(content)
    return path


def test_text_columns_get_their_types(tmp_path: Path) -> None:
    path = text(tmp_path, "user_id,item_id,timestamp,rating\n1,a,10,3.5\n2,b,20,\n")
    frame = read_table(path, INTERACTIONS).collect()
    assert frame.rows() == [(1, "a", 10, 3.5), (2, "b", 20, None)]


TEXT = {
    "bad time": (
        "1,a,10\n2,b,noon\n",
        r"row 1 \(from 0, after the header\), column 'timestamp': found 'noon', expected",
    ),
    "cut short": ("1,a,10\n2,b", r"row 1 \(from 0\), column 'timestamp': found null"),
    "null id": ("1,a,10\n,b,4\n", r"row 1 \(from 0\), column 'user_id': found null"),
    "too many fields": ("1,a,10,8\n", "interactions.csv, line 2: the row has more fields"),
    "no rows": ("", "has no rows"),
}


@pytest.mark.parametrize(("content", "message"), TEXT.values(), ids=TEXT)
def test_malformed_text(tmp_path: Path, content: str, message: str) -> None:
    path = text(tmp_path, f"user_id,item_id,timestamp\n{content}")
    with pytest.raises(DataError, match=message) as caught:
        read_table(path, INTERACTIONS)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", [pl.UInt64, pl.Int128])
def test_an_order_beyond_int64_is_refused(tmp_path: Path, kind: Any) -> None:
    path = tmp_path / "interactions.parquet"
    order = pl.Series([1, 2**63], dtype=kind)
    pl.DataFrame({"user_id": [1, 1], "item_id": [1, 2], "order": order}).write_parquet(path)
    with pytest.raises(DataError, match=r"interactions.parquet, row 1 \(from 0\), column 'order': 9223372036854775808"):
        read_table(path, INTERACTIONS)


def test_a_text_without_any_known_column_names_those_it_has(tmp_path: Path) -> None:
    path = text(tmp_path, "Customer,SKU,when\n1,a,10\n")
    with pytest.raises(
        DataError, match="column 'user_id' of table 'interactions' is missing; found Customer, SKU, when"
    ):
        read_table(path, INTERACTIONS)
