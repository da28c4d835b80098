from __future__ import annotations

import math
from typing import Any

import polars as pl
import pytest

from recsys.data.tables.feedback import channel_kinds, feedback_rules
from recsys.data.tables.row_checks import check_rows, row_finder
from recsys.errors import ConfigurationError, DataError
from recsys.types.feedback import ChannelKind

GOOD = {"binary": [0, 1], "count": [0, 3], "seconds": [0.0, 2.5], "rating": [-1.0, 4.5], "number": [-3.0, 0.5]}
BAD = {
    "binary": [2, -1, 0.5, math.nan, None],
    "count": [-1, 0.5, math.inf, math.nan, None],
    "seconds": [-0.5, math.inf, math.nan, None],
    "rating": [math.inf, math.nan, None],
    "number": [-math.inf, math.nan, None],
}


def check(kind: str, values: list[Any], listed: bool = False) -> None:
    frame = pl.DataFrame({"slate": [[7]] * len(values), "felt": [[one] for one in values] if listed else values})
    rules = feedback_rules({"felt": ChannelKind(kind)}, frame.schema, pl.col("slate").list.len())
    check_rows(frame.lazy(), rules, row_finder(frame.lazy(), "table"))


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("kind", GOOD)
def test_values_of_a_kind_pass(kind: str, listed: bool) -> None:
    check(kind, GOOD[kind], listed)


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in BAD.items() for value in values])
def test_others_are_refused(kind: str, value: float | None, listed: bool) -> None:
    good = [float(one) for one in GOOD[kind]]
    with pytest.raises(DataError, match=rf"table, row 2 \(from 0\), column 'felt': .* no feedback of kind {kind}"):
        check(kind, [*good, value, value], listed)


def test_true_and_false_are_binary() -> None:
    check("binary", [True, False])
    check("binary", [True, False], listed=True)


def test_lists_have_a_value_for_each_slot() -> None:
    frame = pl.LazyFrame({"slate": [[7], [7, 8]], "felt": [[1], [0]]})
    rules = feedback_rules({"felt": ChannelKind.COUNT}, frame.collect_schema(), pl.col("slate").list.len())
    with pytest.raises(DataError, match=r"row 1 .*'felt': \[0\] has another length than its slate"):
        check_rows(frame, rules, row_finder(frame, "table"))


def test_kinds_are_known_and_names_are_free() -> None:
    assert channel_kinds({"like": "binary", "watch_time": "seconds"})["watch_time"] is ChannelKind.SECONDS
    with pytest.raises(ConfigurationError, match=r"feedback\.like: 'boolean' is no kind .* one of binary, count, sec"):
        channel_kinds({"like": "boolean"})
    for name in ("timestamp", "slate", "propensity"):
        with pytest.raises(ConfigurationError, match=rf"feedback\.{name}: column '{name}' has another meaning"):
            channel_kinds({name: "number"})
