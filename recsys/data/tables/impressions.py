"""Reads the canonical table of impressions and checks its rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from recsys.data.tables import scan
from recsys.data.tables.row_checks import FindRow, RowRule, check_rows, propensity_rules, slate_rules
from recsys.data.tables.schema import IMPRESSIONS, read_table

SOURCES = ("search", "recommendation")
"""What `source` may say; null where it is not known."""


def read_impressions(location: str | Path) -> pl.LazyFrame:
    """A table of impressions, not yet read, after its rows were checked.

    Args:
        location: a Parquet file, a folder of them, hive partitions, a pattern or an object-store URL.

    Returns:
        The rows with every column of the table; `slate` a list of int64 or of strings, `clicks` a list of int64.

    Raises:
        DataError: as `recsys.data.tables.schema.read_table`, and for the rows that `check_impressions` refuses.
    """
    location = str(location)
    frame = read_table(location, IMPRESSIONS)
    with scan.polars_errors(location):
        check_impressions(frame, partial(scan.first_row, location))
    kind = pl.Int64() if element_type(frame, "slate").is_integer() else pl.String()
    return frame.with_columns(pl.col("slate").cast(pl.List(kind)), pl.col("clicks").cast(pl.List(pl.Int64)))


def element_type(frame: pl.LazyFrame, column: str) -> Any:
    """The polars type of the elements of a column of lists.

    >>> element_type(pl.LazyFrame({"slate": [["a", "b"]]}), "slate")
    String
    """
    kind = frame.collect_schema()[column]
    assert isinstance(kind, pl.List)
    return kind.inner


def check_impressions(frame: pl.LazyFrame, find: FindRow) -> None:
    """Refuse rows that no slate model could read, in one pass over the table.

    A slate holds at least one item, each once, none null. A click is a position of its slate, each once. Where a column
    of propensities is there, every row has its own, in (0, 1], and lists have one for each slot.

    Args:
        frame: has the required columns of `recsys.data.tables.schema.IMPRESSIONS`, with their types.
        find: where the first row at fault stands.

    Raises:
        DataError: at the first rule that some row breaks.
    """
    check_rows(frame, _rules(frame.collect_schema().names()), find)


def _rules(columns: Sequence[str]) -> list[RowRule]:
    clicks, size = pl.col("clicks").list, pl.col("slate").list.len()
    rules = [
        *slate_rules(),
        RowRule("clicks", clicks.drop_nulls().list.len() != clicks.len(), "holds a null, expected positions: drop it"),
        RowRule(
            "clicks",
            (clicks.min() < 0) | (clicks.max() >= size),
            "names a position outside its slate, expected 0 to the slate's length less one: count from 0, and leave out"
            " clicks on what the slate does not hold",
        ),
        RowRule("clicks", clicks.n_unique() != clicks.len(), "names a position twice: keep it once"),
    ]
    if "source" in columns:
        known = " or ".join(repr(source) for source in SOURCES)
        unknown = ~pl.col("source").cast(pl.String).is_in(SOURCES)
        rules.append(RowRule("source", unknown, f"is no source, expected {known}, or null where it is not known"))
    return rules + propensity_rules(columns, size)
