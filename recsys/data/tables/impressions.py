"""Read the canonical table `impressions` and check its rows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from recsys.data.tables import scan
from recsys.data.tables.canonical import IMPRESSIONS
from recsys.data.tables.feedback import feedback_rules, with_feedback
from recsys.data.tables.row_checks import FindRow, RowRule, check_rows, propensity_rules, slate_rules
from recsys.data.tables.schema import ColumnKind, read_table
from recsys.types.feedback import ChannelKind

SOURCES = ("search", "recommendation")
"""Values of the column `source`; null means unknown."""


NO_FEEDBACK: Mapping[str, ChannelKind] = {}


def read_impressions(location: str | Path, kinds: Mapping[str, ChannelKind] = NO_FEEDBACK) -> pl.LazyFrame:
    """Check a table of impressions and return its rows as a lazy frame.

    Args:
        location: a Parquet file, a folder of Parquet files, hive partitions, a glob pattern or an object-store URL.
        kinds: further columns of feedback and their kinds. A column of numbers has one a slate, a column of lists one
            for each slot.

    Returns:
        Every column of the table. `slate` is a list of int64 or of strings, `clicks` a list of int64.

    Raises:
        DataError: `recsys.data.tables.schema.read_table` or `check_impressions` refuses the table.
    """
    location = str(location)
    frame = read_table(location, with_feedback(IMPRESSIONS, kinds, ColumnKind.FEEDBACK))
    with scan.polars_errors(location):
        check_impressions(frame, partial(scan.first_row, location), kinds)
    kind = pl.Int64() if element_type(frame, "slate").is_integer() else pl.String()
    return frame.with_columns(pl.col("slate").cast(pl.List(kind)), pl.col("clicks").cast(pl.List(pl.Int64)))


def element_type(frame: pl.LazyFrame, column: str) -> Any:
    """Return the polars type of the elements of a list column.

    >>> element_type(pl.LazyFrame({"slate": [["a", "b"]]}), "slate")
    String
    """
    kind = frame.collect_schema()[column]
    assert isinstance(kind, pl.List)
    return kind.inner


def check_impressions(frame: pl.LazyFrame, find: FindRow, kinds: Mapping[str, ChannelKind] = NO_FEEDBACK) -> None:
    """Raise an error if a row is no valid impression. The table is read once.

    - A slate holds at least one item, each item once, and no null.
    - A click is a position of its slate. Each position is listed once.
    - A column of propensities has a value in (0, 1] in every row. Lists have one value for each slot.
    - A value of feedback is one of its kind. Lists have one value for each slot.

    Args:
        frame: table with the required columns of `recsys.data.tables.canonical.IMPRESSIONS` and their types.
        find: function that locates the first row that breaks a rule.
        kinds: further columns of feedback and their kinds.

    Raises:
        DataError: some row breaks a rule. The message is about the first rule that is broken.
    """
    check_rows(frame, _rules(frame.collect_schema(), kinds), find)


def _rules(columns: Mapping[str, Any], kinds: Mapping[str, ChannelKind]) -> list[RowRule]:
    clicks, size = pl.col("clicks").list, pl.col("slate").list.len()
    rules = [
        *slate_rules(),
        RowRule("clicks", clicks.drop_nulls().list.len() != clicks.len(), "holds a null, expected positions. Drop it"),
        RowRule(
            "clicks",
            (clicks.min() < 0) | (clicks.max() >= size),
            "names a position outside its slate, expected 0 to the slate's length minus 1. Count from 0, and leave out"
            " clicks on items that the slate does not hold",
        ),
        RowRule("clicks", clicks.n_unique() != clicks.len(), "names a position twice, expected each once. Keep one"),
    ]
    if "source" in columns:
        known = " or ".join(repr(source) for source in SOURCES)
        unknown = ~pl.col("source").cast(pl.String).is_in(SOURCES)
        rules.append(RowRule("source", unknown, f"is no source, expected {known}, or null if it is unknown"))
    return rules + propensity_rules(list(columns), size) + feedback_rules(kinds, columns, size)
