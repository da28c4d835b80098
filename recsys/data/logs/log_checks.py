"""Checks of rows that the tables of several kinds of logs share."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from recsys.data.tables.row_checks import FindRow, RowRule, check_rows, exclude, has_duplicates
from recsys.errors import DataError

DUPLICATE_MESSAGE = "stands in the table twice for one request, expected each request and action once: keep one row"


def context_rules(frame: pl.LazyFrame) -> list[RowRule]:
    """Return the rules for a column `context`: every context is finite and as long as the first."""
    if "context" not in frame.collect_schema().names():
        return []
    context = pl.col("context").list
    size = frame.select(context.len().drop_nulls().head(1)).head(1).collect().to_series()
    length = size.item() if len(size) else 0
    return [
        RowRule(
            "context", context.len().ne_missing(length), f"is no context like the first, expected {length} numbers"
        ),
        RowRule(
            "context", context.eval(not_finite(pl.element())).list.any(), "holds what is no finite number: fill it"
        ),
    ]


def null_rule(name: str) -> RowRule:
    """Return the rule that no row of a column is null."""
    return RowRule(name, pl.col(name).is_null(), "is null, expected a value in every row: fill or drop it")


def not_finite(value: pl.Expr) -> pl.Expr:
    """Return an expression that is true where a number is null, NaN or infinite."""
    return (~value.cast(pl.Float64).is_finite()).fill_null(True)


def drop_duplicates(
    frame: pl.LazyFrame, keys: Sequence[str], rows: int, find: FindRow, excluding: bool
) -> tuple[pl.LazyFrame, int]:
    """Return the table with each value of the keys once, and the number of rows left out.

    Args:
        frame: the table.
        keys: columns whose values together may stand once.
        rows: number of rows of the table.
        find: finds the first faulty row.
        excluding: keep the first row of each value and count the others, instead of refusing the table.

    Raises:
        DataError: a value stands twice and rows are not left out.
    """
    if not has_duplicates(frame, keys, rows):
        return frame, 0
    if not excluding:
        file, row, value = find(~pl.struct(keys).is_first_distinct(), keys[-1])
        raise DataError(f"{file}, row {row} (from 0), column {keys[-1]!r}: {value} {DUPLICATE_MESSAGE}")
    kept = frame.unique(keys, keep="first", maintain_order=True)
    return kept, rows - kept.select(pl.len()).collect(engine="streaming").item()


def checked_rows(
    frame: pl.LazyFrame, rules: Sequence[RowRule], find: FindRow, name: str, excluding: bool
) -> tuple[pl.LazyFrame, int, dict[str, int]]:
    """Return the table without its faulty rows, the number of its rows, and the number of rows left out by reason.

    Args:
        frame: the table.
        rules: rules for its rows.
        find: finds the first faulty row.
        name: name of the table in messages.
        excluding: leave out faulty rows and count them, instead of refusing the table.

    Raises:
        DataError: a row is faulty and rows are not left out, or no row is left.
    """
    counts: dict[str, int] = {}
    if excluding:
        frame, counts = exclude(frame, rules, name)
    else:
        check_rows(frame, rules, find)
    rows = frame.select(pl.len()).collect(engine="streaming").item()
    if not rows:
        raise DataError(f"{name}: no row is left")
    return frame, rows, counts
