from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys.data.tables.exposures import read_exposures, slates_of_exposures
from recsys.errors import DataError
from recsys.types.feedback import ChannelKind

KINDS = {"click": ChannelKind.BINARY, "watch_time": ChannelKind.SECONDS, "stars": ChannelKind.RATING}
GOOD: dict[str, list[Any]] = {
    "user_id": [1, 1, 2],
    "item_id": ["b", "a", "a"],
    "timestamp": [10, 10, 20],
    "request_id": ["r", "r", "s"],
    "click": [1, 0, 0],
    "watch_time": [2.5, 0.0, 1.0],
    "stars": [5, 0, 3],
    "page": ["home", "home", "shop"],
}


def write(folder: Path, **changes: Any) -> Path:
    columns = {name: values for name, values in {**GOOD, **changes}.items() if values is not None}
    path = folder / "exposures.parquet"
    pl.DataFrame(columns).write_parquet(path)
    return path


def test_a_good_table_comes_back_with_its_extra_columns(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert read_exposures(path, KINDS).collect().equals(pl.read_parquet(path))


def test_a_csv_file_is_read_by_the_kinds_of_its_columns(tmp_path: Path) -> None:
    pl.DataFrame(GOOD).write_csv(tmp_path / "exposures.csv")
    read = read_exposures(tmp_path / "exposures.csv", KINDS).collect()
    assert read.get_column("watch_time").to_list() == [2.5, 0.0, 1.0]
    (tmp_path / "bad.csv").write_text("user_id,item_id,timestamp,request_id,click\n1,a,5,r,1\n1,b,5,r,yes\n")
    with pytest.raises(DataError, match=r"bad.csv, row 1 .*'click': found 'yes', expected numbers"):
        read_exposures(tmp_path / "bad.csv", {"click": ChannelKind.BINARY})
    (tmp_path / "bad.csv").write_text("user_id,item_id,timestamp,request_id,click\n1,a,5,r,1\n1,b,5,r,7\n")
    with pytest.raises(DataError, match=r"bad.csv, row 1 .*'click': 7 is no feedback of kind binary"):
        read_exposures(tmp_path / "bad.csv", {"click": ChannelKind.BINARY})


def test_rows_that_stand_alone_need_no_request(tmp_path: Path) -> None:
    path = write(tmp_path, request_id=None, item_id=["a", "a", "a"])
    assert len(read_exposures(path, KINDS, request=None).collect()) == 3


MALFORMED = {
    "no feedback": ({"stars": None}, "column 'stars' of table 'exposures' is missing; found user_id, item_id"),
    "no item": ({"item_id": None}, "column 'item_id' of table 'exposures' is missing"),
    "no request": ({"request_id": None}, "column 'request_id' of table 'exposures' is missing"),
    "text": ({"click": ["yes", "no", "no"]}, "'click' of table 'exposures' holds String, expected numbers .*'yes'"),
    "null item": ({"item_id": ["b", None, "a"]}, r"row 1 \(from 0\), column 'item_id': found null"),
    "null user": ({"user_id": [1, 1, None]}, r"row 2 \(from 0\), column 'user_id': found null"),
    "null request": ({"request_id": [None, "r", "s"]}, r"row 0 \(from 0\), column 'request_id': found null"),
    "null feedback": ({"click": [1, None, 0]}, r"row 1 \(from 0\), column 'click': found null"),
    "milliseconds": ({"timestamp": [1, 2, 1_700_000_000_000]}, r"row 2 .*'timestamp': 1700000000000 looks like milli"),
    "another kind": ({"click": [1, 3, 0]}, r"row 1 .*'click': 3 is no feedback of kind binary, expected 0 or 1 in e"),
    "negative seconds": ({"watch_time": [1.0, 0.0, -2.0]}, r"row 2 .*'watch_time': -2.0 is no feedback of kind second"),
    "not a number": ({"watch_time": [1.0, float("nan"), 2.0]}, r"row 1 .*'watch_time': nan is no feedback of kind se"),
    "endless rating": ({"stars": [float("inf"), 1.0, 2.0]}, r"row 0 .*'stars': inf is no feedback of kind rating"),
    "two users": (
        {"request_id": ["r", "r", "r"]},
        r"row 2 .*'user_id': 2 is not the user of the first row with its req",
    ),
    "item twice": (
        {"item_id": ["b", "b", "a"]},
        r"row 1 .*'item_id': b occurs twice with its request_id, expected eac",
    ),
}


@pytest.mark.parametrize(("changes", "message"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_tables_name_file_column_and_row(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(DataError, match=message) as caught:
        read_exposures(path, KINDS)
    assert str(path) in str(caught.value)


def test_rows_are_counted_within_the_file_that_holds_them(tmp_path: Path) -> None:
    for part, click in enumerate(([0, 1, 0], [0, 0, 9])):
        (tmp_path / f"day={part}").mkdir()
        write(tmp_path / f"day={part}", click=click, request_id=[f"{part}r", f"{part}r", f"{part}s"])
    with pytest.raises(DataError, match=r"day=1/exposures.parquet, row 2 \(from 0\), column 'click': 9"):
        read_exposures(tmp_path, KINDS)


def test_slates_are_what_was_shown_at_once_whatever_the_order_of_rows() -> None:
    shown = pl.DataFrame(GOOD).drop("page")
    expected = [
        ("r", 1, 10, ["a", "b"], [1], [0.0, 1.0], [0.0, 2.5], [0.0, 5.0]),
        ("s", 2, 20, ["a"], [], [0.0], [1.0], [3.0]),
    ]
    for rows in (shown, shown.reverse()):
        assert slates_of_exposures(rows, KINDS, "click").rows() == expected


def test_a_request_begins_when_its_first_item_is_shown_and_later_items_stand_behind() -> None:
    shown = pl.DataFrame(GOOD).drop("page").with_columns(timestamp=pl.Series([5, 9, 7]))
    first, second = slates_of_exposures(shown, KINDS, "click").select("timestamp", "slate", "clicks").rows()
    assert first == (5, ["b", "a"], [0]) and second == (7, ["a"], [])


def test_without_requests_each_row_is_a_slate_of_one_slot() -> None:
    shown = pl.DataFrame(GOOD).drop("page", "request_id")
    one_each = slates_of_exposures(shown, KINDS, "click", request=None)
    assert one_each.get_column("request_id").to_list() == [0, 1, 2]
    assert one_each.get_column("slate").to_list() == [["a"], ["b"], ["a"]]
    assert one_each.get_column("clicks").to_list() == [[], [0], []]
    assert slates_of_exposures(shown.reverse(), KINDS, "click", request=None).equals(one_each)
