from __future__ import annotations

import logging

import polars as pl
import pytest

from recsys.data.tables.row_checks import (
    MAX_SHOWN_CHARACTERS,
    RowRule,
    check_rows,
    exclude,
    invalid_propensity,
    row_finder,
    slate_rules,
)
from recsys.errors import DataError

FRAME = pl.LazyFrame({"a": [1, -1, 5, None], "b": ["x", "y", "z" * 500, "w"]})
RULES = [
    RowRule("b", pl.col("a") > 4, "is long, expected short: cut it"),
    RowRule("a", pl.col("a") < 0, "is below 0: mend"),
]


def test_the_first_rule_that_is_broken_is_told_with_its_row() -> None:
    with pytest.raises(DataError, match=r"^t, row 2 \(from 0\), column 'b': z+… is long, expected short") as caught:
        check_rows(FRAME, RULES, row_finder(FRAME, "t"))
    assert len(str(caught.value)) < MAX_SHOWN_CHARACTERS + 100
    with pytest.raises(DataError, match=r"row 1 .*'a': -1 is below 0: mend"):
        check_rows(FRAME, RULES[1:], row_finder(FRAME, "t"))
    check_rows(FRAME, [RowRule("a", pl.col("a") > 9, "is large")], row_finder(FRAME, "t"))


def test_rows_that_break_several_rules_are_counted_once(caplog: pytest.LogCaptureFixture) -> None:
    both = [*RULES, RowRule("a", pl.col("a").abs() > 0, "is not 0")]
    with caplog.at_level(logging.WARNING):
        rest, counts = exclude(FRAME, both, "t")
    assert counts == {"b is long": 1, "a is below 0": 1, "a is not 0": 1}
    assert rest.collect()["b"].to_list() == ["w"]  # a null breaks no rule
    assert "t: excluded 3 row(s): 1 (b is long), 1 (a is below 0), 1 (a is not 0)" in caplog.text


def test_nothing_to_exclude_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    rest, counts = exclude(FRAME, [RowRule("a", pl.col("a") > 9, "is large")], "t")
    assert counts == {} and len(rest.collect()) == 4 and not caplog.text


@pytest.mark.parametrize("value", [0.0, -0.1, 1.0000001, float("nan"), float("inf"), None])
def test_what_is_no_propensity(value: float | None) -> None:
    frame = pl.DataFrame({"p": [value]}, schema={"p": pl.Float64})
    assert frame.select(invalid_propensity(pl.col("p"))).item()


@pytest.mark.parametrize("value", [1.0, 1e-300, 0.5])
def test_what_is_a_propensity(value: float) -> None:
    assert not pl.DataFrame({"p": [value]}).select(invalid_propensity(pl.col("p"))).item()


def test_repeats_in_a_slate_are_a_matter_of_choice() -> None:
    slates = pl.LazyFrame({"slate": [["a", "a"]]})
    check_rows(slates, slate_rules(repeats=True), row_finder(slates, "t"))
    with pytest.raises(DataError, match="holds an item twice"):
        check_rows(slates, slate_rules(), row_finder(slates, "t"))
