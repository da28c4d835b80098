"""Read the canonical table `exposures`, check its rows, and join items that were shown at once to slates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl

from recsys.data.tables import scan
from recsys.data.tables.canonical import EXPOSURES
from recsys.data.tables.feedback import feedback_rules, with_feedback
from recsys.data.tables.row_checks import RowRule, check_rows
from recsys.data.tables.schema import ColumnKind, TableColumn, read_table
from recsys.types.feedback import ChannelKind

ROW = "__row"
"""Column that numbers the exposures if each is a slate of its own."""


def read_exposures(
    location: str | Path, kinds: Mapping[str, ChannelKind], request: str | None = "request_id"
) -> pl.LazyFrame:
    """Check a table of exposures and return its rows as a lazy frame.

    Args:
        location: a Parquet file, a folder of Parquet files, hive partitions, a glob pattern, an object-store URL, or a
            `.csv` file with a header.
        kinds: the columns of feedback and their kinds.
        request: column whose value is equal for items that were shown at once; None if each row is a slate of its own.

    Returns:
        Every column of the table.

    Raises:
        DataError: a column is missing or has another type; a value of feedback is not of its kind; or a request has
            rows of two users or one item twice. The message names the file, the column and the first bad row.
    """
    location = str(location)
    schema = with_feedback(EXPOSURES, kinds, ColumnKind.NUMBER)
    if request is not None:
        others = tuple(column for column in schema.columns if column.name != request)
        schema = replace(schema, columns=(*others, TableColumn(request, ColumnKind.ID, required=True)))
    frame = read_table(location, schema)
    with scan.polars_errors(location):
        rules = feedback_rules(kinds, frame.collect_schema()) + ([] if request is None else _request_rules(request))
        check_rows(frame, rules, partial(scan.first_row, location))
    return frame


def _request_rules(request: str) -> list[RowRule]:
    user, repeated = pl.col("user_id"), ~pl.struct(request, "item_id").is_first_distinct()
    another = user != user.first().over(request)
    return [
        RowRule(
            "user_id",
            another,
            f"is not the user of the first row with its {request}, expected one user a request. Name another column as"
            " `request`, or null if each row stands alone",
        ),
        RowRule("item_id", repeated, f"occurs twice with its {request}, expected each item once. Keep one of the rows"),
    ]


def slates_of_exposures(
    shown: pl.DataFrame, kinds: Mapping[str, ChannelKind], click: str, request: str | None = "request_id"
) -> pl.DataFrame:
    """Return one row for each request: its slate, the clicks, and a list of each kind of feedback.

    The rows of a request are sorted by time and item id, so the order of rows in the table does not matter. The time of
    a request is that of its first row.

    Args:
        shown: `user_id`, `item_id`, `timestamp`, the column `request` and the columns of feedback.
        kinds: the columns of feedback and their kinds.
        click: the binary one that counts as a click.
        request: column whose value is equal for items that were shown at once; None makes each row a slate of one slot.

    Returns:
        `request_id`, `user_id`, `timestamp`, `slate`, `clicks` and, for each kind of feedback, one value a slot.

    >>> shown = {"user_id": [7, 7, 8], "item_id": [5, 4, 4], "timestamp": [1, 1, 2], "request_id": ["a", "a", "b"]}
    >>> shown = pl.DataFrame({**shown, "click": [0, 1, 1], "watch_time": [0.0, 3.5, 2.0]})
    >>> kinds = {"click": ChannelKind.BINARY, "watch_time": ChannelKind.SECONDS}
    >>> slates_of_exposures(shown, kinds, "click").drop("click").rows()
    [('a', 7, 1, [4, 5], [0], [3.5, 0.0]), ('b', 8, 2, [4], [0], [2.0])]
    """
    values = [pl.col(name).cast(pl.Float32) for name in kinds]
    order = ["user_id", "timestamp", "item_id", *kinds]
    rows = shown.with_columns(values).sort(order)
    if request is None:
        request, rows = ROW, rows.with_row_index(ROW)
    slates = rows.group_by(request, maintain_order=True).agg(
        pl.col("user_id", "timestamp").first(),
        pl.col("item_id").alias("slate"),
        pl.int_range(pl.len(), dtype=pl.Int64).filter(pl.col(click) == 1).alias("clicks"),
        *(pl.col(name) for name in kinds),
    )
    return slates.rename({request: "request_id"})
