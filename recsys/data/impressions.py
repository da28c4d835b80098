"""The canonical table of slates: what each row must be beyond the types of its columns."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from recsys.data import scan
from recsys.data.schema import IMPRESSIONS, read_table
from recsys.errors import DataError

SOURCES = ("search", "recommendation")
"""What `source` may say; null where it is not known."""

LONGEST = 80
"""Characters of a value that an error message shows."""

Find = Callable[[pl.Expr, str], tuple[str, int, object]]
"""Predicate and column → file, row (from 0) and value of the first row that fulfils it."""


@dataclass(frozen=True)
class Rule:
    """Something that no row may be.

    Args:
        column: the column at fault.
        broken: true where a row is at fault.
        text: what was found, what was expected, what to do.
    """

    column: str
    broken: pl.Expr
    text: str


def read_impressions(location: str | Path) -> pl.LazyFrame:
    """A table of impressions, not yet read, after its rows were checked.

    Args:
        location: a Parquet file, a folder of them, hive partitions, a pattern or an object-store URL.

    Returns:
        The rows with every column of the table; `slate` a list of int64 or of strings, `clicks` a list of int64.

    Raises:
        DataError: as `recsys.data.schema.read_table`, and for the rows that `check_impressions` refuses.
    """
    location = str(location)
    frame = read_table(location, IMPRESSIONS)
    with scan.plainly(location):
        check_impressions(frame, partial(scan.first_row, location))
    kind = pl.Int64() if inner(frame, "slate").is_integer() else pl.String()
    return frame.with_columns(pl.col("slate").cast(pl.List(kind)), pl.col("clicks").cast(pl.List(pl.Int64)))


def inner(frame: pl.LazyFrame, column: str) -> Any:
    """The polars type of the elements of a column of lists.

    >>> inner(pl.LazyFrame({"slate": [["a", "b"]]}), "slate")
    String
    """
    kind = frame.collect_schema()[column]
    assert isinstance(kind, pl.List)
    return kind.inner


def check_impressions(frame: pl.LazyFrame, find: Find) -> None:
    """Refuse rows that no slate model could read, in one pass over the table.

    A slate holds at least one item, each once, none null. A click is a position of its slate, each once. Where a column
    of propensities is there, every row has its own, in (0, 1], and lists have one for each slot.

    Args:
        frame: has the required columns of `recsys.data.schema.IMPRESSIONS`, with their types.
        find: where the first row at fault stands.

    Raises:
        DataError: at the first rule that some row breaks.
    """
    rules = _rules(frame.collect_schema().names())
    found = frame.select(rule.broken.any().alias(str(number)) for number, rule in enumerate(rules)).collect().row(0)
    for rule, broken in zip(rules, found, strict=True):
        if broken:
            file, row, value = find(rule.broken, rule.column)
            shown = str(value.to_list() if isinstance(value, pl.Series) else value)
            shown = shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}…"
            raise DataError(f"{file}, row {row} (from 0), column {rule.column!r}: {shown} {rule.text}")


def finder(frame: pl.LazyFrame, location: str) -> Find:
    """Rows of a frame whose rows are those of one file."""

    def find(predicate: pl.Expr, column: str) -> tuple[str, int, object]:
        """See `Find`."""
        numbered = frame.with_row_index("__row").filter(predicate).select("__row", column).head(1).collect()
        return location, numbered.item(0, "__row"), numbered.item(0, column)

    return find


def _rules(columns: Collection[str]) -> list[Rule]:
    slate, clicks = pl.col("slate").list, pl.col("clicks").list
    size = slate.len()
    rules = [
        Rule("slate", size == 0, "is an empty slate, expected at least one item: drop the row"),
        Rule("slate", slate.drop_nulls().list.len() != size, "holds a null, expected an id in every slot: drop it"),
        Rule("slate", slate.n_unique() != size, "holds an item twice: keep one slot for it and mend `clicks`"),
        Rule("clicks", clicks.drop_nulls().list.len() != clicks.len(), "holds a null, expected positions: drop it"),
        Rule(
            "clicks",
            (clicks.min() < 0) | (clicks.max() >= size),
            "names a position outside its slate, expected 0 to the slate's length less one: count from 0, and leave out"
            " clicks on what the slate does not hold",
        ),
        Rule("clicks", clicks.n_unique() != clicks.len(), "names a position twice: keep it once"),
    ]
    if "source" in columns:
        known = " or ".join(repr(source) for source in SOURCES)
        unknown = ~pl.col("source").cast(pl.String).is_in(SOURCES)
        rules.append(Rule("source", unknown, f"is no source, expected {known}, or null where it is not known"))
    if "propensity" in columns:
        rules.append(Rule("propensity", _no_probability(pl.col("propensity")), PROBABILITY))
    for name in ("prefix_propensities", "slot_propensities"):
        if name in columns:
            length = pl.col(name).list.len().ne_missing(size)
            rules.append(Rule(name, length, "has not one propensity for each slot of its slate"))
            rules.append(Rule(name, pl.col(name).list.eval(_no_probability(pl.element())).list.any(), PROBABILITY))
    return rules


PROBABILITY = "is no propensity, expected a probability in (0, 1] in every row: write it, or drop the column"


def _no_probability(value: pl.Expr) -> pl.Expr:
    return (~value.cast(pl.Float64).is_between(0, 1, closed="right")).fill_null(True)
