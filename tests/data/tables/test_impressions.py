from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys.data.tables.impressions import read_impressions
from recsys.data.tables.row_checks import MAX_SHOWN_CHARACTERS
from recsys.errors import DataError
from recsys.types.feedback import ChannelKind

GOOD: dict[str, list[Any]] = {
    "request_id": [1, 2],
    "user_id": ["u", "v"],
    "timestamp": [10, 20],
    "slate": [["a", "b", "c"], ["b"]],
    "clicks": [[2, 0], []],
}


def write(folder: Path, **changes: Any) -> Path:
    columns = {name: values for name, values in {**GOOD, **changes}.items() if values is not None}
    path = folder / "impressions.parquet"
    pl.DataFrame(columns).write_parquet(path)
    return path


def test_a_good_table_comes_back_with_its_extra_columns(tmp_path: Path) -> None:
    path = write(tmp_path, shop=["x", "y"], source=["search", None], candidates=[["a"], ["b"]])
    assert read_impressions(path).collect().equals(pl.read_parquet(path))


def test_propensities_may_be_one(tmp_path: Path) -> None:
    lists = [[0.5, 0.25, 1.0], [1.0]]
    path = write(tmp_path, propensity=[0.125, 1.0], prefix_propensities=lists, slot_propensities=lists)
    assert read_impressions(path).collect().get_column("slot_propensities").to_list() == lists


def test_a_policy_without_chance_has_propensity_true(tmp_path: Path) -> None:
    assert len(read_impressions(write(tmp_path, propensity=[True, True])).collect()) == 2
    with pytest.raises(DataError, match=r"row 1 .*'propensity': False is no propensity"):
        read_impressions(write(tmp_path, propensity=[True, False]))


@pytest.mark.parametrize(
    ("slate", "kind"),
    [
        (pl.Series([[3, 4, 5], [4]], dtype=pl.List(pl.UInt16)), pl.Int64),
        (pl.Series([["a", "b", "c"], ["b"]], dtype=pl.List(pl.Categorical)), pl.String),
    ],
)
def test_ids_are_integers_or_strings(tmp_path: Path, slate: pl.Series, kind: Any) -> None:
    assert read_impressions(write(tmp_path, slate=slate)).collect_schema()["slate"] == pl.List(kind)


def test_a_log_without_any_click(tmp_path: Path) -> None:
    frame = read_impressions(write(tmp_path, clicks=[[], []])).collect()
    assert frame.schema["clicks"] == pl.List(pl.Int64) and frame.get_column("clicks").to_list() == [[], []]


def test_times_may_be_datetimes(tmp_path: Path) -> None:
    assert len(read_impressions(write(tmp_path, timestamp=[datetime(2024, 1, 1)] * 2)).collect()) == 2


SLOTS = "has another length than its slate"
NO_PROPENSITY = r"expected a probability in \(0, 1\] in every row"

MALFORMED = {
    "missing": ({"clicks": None}, "column 'clicks' of table 'impressions' is missing"),
    "one item instead of a list": ({"slate": ["a", "b"]}, "'slate' .* holds String, expected lists of integers or of"),
    "clicked ids": ({"clicks": [["c"], ["b"]]}, r"'clicks' .* holds List\(String\), expected lists of integers"),
    "null slate": ({"slate": [["a", "b", "c"], None]}, r"row 1 \(from 0\), column 'slate': found null"),
    "null clicks": ({"clicks": [None, []]}, r"row 0 \(from 0\), column 'clicks': found null"),
    "milliseconds": ({"timestamp": [10, 1_700_000_000_000]}, r"row 1 .*: 1700000000000 looks like milliseconds"),
    "request twice": ({"request_id": [1, 1]}, r"row 1 .*'request_id': 1 occurs twice"),
    "empty slate": ({"slate": [["a", "b", "c"], []]}, r"row 1 \(from 0\), column 'slate': \[\] is an empty slate"),
    "null inside": ({"slate": [["a", None, "c"], ["b"]]}, r"row 0 .*'slate': \['a', None, 'c'\] holds a null"),
    "item twice": ({"slate": [["a", "b", "a"], ["b"]]}, r"row 0 .*'slate': \['a', 'b', 'a'\] holds an item twice"),
    "click behind": ({"clicks": [[2], [1]]}, r"row 1 .*'clicks': \[1\] names a position outside its slate"),
    "click before": ({"clicks": [[0, -1], []]}, r"row 0 .*'clicks': \[0, -1\] names a position outside its slate"),
    "click twice": ({"clicks": [[1, 1], []]}, r"row 0 .*'clicks': \[1, 1\] names a position twice"),
    "null click": ({"clicks": [[1], [None]]}, r"row 1 .*'clicks': \[None\] holds a null"),
    "source": ({"source": [None, "email"]}, "row 1 .*'source': email is no source, expected 'search' or 'recomm"),
    "propensity 0": ({"propensity": [0.5, 0.0]}, f"row 1 .*'propensity': 0.0 is no propensity, {NO_PROPENSITY}"),
    "propensity above 1": ({"propensity": [1.5, 0.1]}, f"row 0 .*'propensity': 1.5 is no propensity, {NO_PROPENSITY}"),
    "no propensity": ({"propensity": [0.5, None]}, f"row 1 .*'propensity': None is no propensity, {NO_PROPENSITY}"),
    "not a number": ({"propensity": [float("nan"), 0.5]}, f"row 0 .*'propensity': nan is no propens.*{NO_PROPENSITY}"),
    "too few prefixes": ({"prefix_propensities": [[0.5, 0.5], [1.0]]}, f"row 0 .*'prefix_propensities': .* {SLOTS}"),
    "too many slots": ({"slot_propensities": [[0.5] * 3, [0.5] * 2]}, f"row 1 .*'slot_propensities': .* {SLOTS}"),
    "no slots": ({"slot_propensities": [[0.5] * 3, None]}, f"row 1 .*'slot_propensities': None {SLOTS}"),
    "slot of 0": ({"slot_propensities": [[0.5, 0.0, 1.0], [1.0]]}, f"row 0 .*'slot_propensities': .*{NO_PROPENSITY}"),
    "null slot": ({"slot_propensities": [[0.5] * 3, [None]]}, f"row 1 .*'slot_propensities': .*{NO_PROPENSITY}"),
}


@pytest.mark.parametrize(("changes", "message"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_tables_name_file_column_and_row(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(DataError, match=message) as caught:
        read_impressions(path)
    assert str(path) in str(caught.value)


KINDS = {"stars": ChannelKind.RATING, "watch_time": ChannelKind.SECONDS}


def test_feedback_is_a_number_a_slate_or_one_a_slot(tmp_path: Path) -> None:
    path = write(tmp_path, stars=[4, 5], watch_time=[[1.5, 0.0, 2.0], [3.0]])
    assert read_impressions(path, KINDS).collect().equals(pl.read_parquet(path))
    assert len(read_impressions(path, {"stars": ChannelKind.NUMBER}).collect()) == 2


BAD_FEEDBACK = {
    "missing": ({"stars": None}, "column 'stars' of table 'impressions' is missing"),
    "text": ({"stars": ["good", "bad"]}, "'stars' .* holds String, expected numbers, or lists of numbers .*'good'"),
    "null": ({"stars": [1, None]}, r"row 1 \(from 0\), column 'stars': found null"),
    "too few slots": ({"watch_time": [[1.0, 2.0], [0.0]]}, rf"row 0 .*'watch_time': \[1.0, 2.0\] {SLOTS}"),
    "negative": ({"watch_time": [[1.0] * 3, [-1.0]]}, r"row 1 .*'watch_time': \[-1.0\] holds what is no feedback of k"),
    "null slot": ({"watch_time": [[1.0, None, 0.0], [1.0]]}, r"row 0 .*'watch_time': .* expected .* in every slot"),
}


@pytest.mark.parametrize(("changes", "message"), BAD_FEEDBACK.values(), ids=BAD_FEEDBACK)
def test_bad_feedback_names_file_column_and_row(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path, **{"stars": [1, 2], "watch_time": [[0.0] * 3, [0.0]], **changes})
    with pytest.raises(DataError, match=message) as caught:
        read_impressions(path, KINDS)
    assert str(path) in str(caught.value)


def test_rows_are_counted_within_the_file_that_holds_them(tmp_path: Path) -> None:
    for part, clicks in enumerate(([[0], []], [[2, 0], [4]])):
        (tmp_path / f"part={part}").mkdir()
        write(tmp_path / f"part={part}", clicks=clicks, request_id=[2 * part, 2 * part + 1])
    with pytest.raises(DataError, match=r"part=1/impressions.parquet, row 1 \(from 0\), column 'clicks': \[4\]"):
        read_impressions(tmp_path)


def test_a_long_slate_is_not_printed_whole(tmp_path: Path) -> None:
    path = write(tmp_path, slate=[["a", "b", "c"], ["b"] * 500])
    with pytest.raises(DataError, match="holds an item twice") as caught:
        read_impressions(path)
    assert len(str(caught.value)) < len(str(path)) + MAX_SHOWN_CHARACTERS + 120
