"""The columns of each canonical table, and the function that reads a table and checks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs

from recsys.data.tables import scan
from recsys.errors import DataError

LATEST_SECOND = 100_000_000_000
"""Seconds since 1970, in the year 5138; a larger number counts something shorter than seconds."""


class ColumnKind(Enum):
    """What a column holds, in the words of an error message."""

    ID = "integers or strings"
    TIME = "integer seconds since 1970 UTC or a Datetime"
    INTEGER = "integers"
    NUMBER = "numbers"
    TEXT = "strings"
    TEXTS = "lists of strings, or strings"
    IDS = "lists of integers or of strings"
    POSITIONS = "lists of integers"
    NUMBERS = "lists of numbers"

    @property
    def selector(self) -> cs.Selector:
        """Selects the columns whose polars type can be read as the kind.

        >>> cs.expand_selector({"seconds": pl.Int64, "fraction": pl.Float64}, ColumnKind.TIME.selector)
        ('seconds',)
        """
        text = cs.string() | cs.categorical() | cs.by_dtype(pl.Enum)
        match self:
            case ColumnKind.ID:
                return cs.integer() | text
            case ColumnKind.TIME:
                return cs.integer() | cs.datetime()
            case ColumnKind.INTEGER:
                return cs.integer()
            case ColumnKind.NUMBER:
                return cs.numeric() | cs.boolean()
            case ColumnKind.TEXT:
                return text
            case ColumnKind.TEXTS:
                return text | cs.by_dtype(pl.List(pl.String))
            case ColumnKind.IDS:
                return cs.list(cs.integer()) | cs.list(text)
            case ColumnKind.POSITIONS:
                return cs.list(cs.integer()) | cs.by_dtype(pl.List(pl.Null))
            case ColumnKind.NUMBERS:
                return cs.list(cs.numeric())


@dataclass(frozen=True)
class TableColumn:
    """One column: its name, what it holds, and whether every row must have it."""

    name: str
    kind: ColumnKind
    required: bool = False


@dataclass(frozen=True)
class TableSchema:
    """A canonical table.

    Args:
        name: of the table.
        columns: those with a meaning; others are kept and not looked at.
        one_of: names of optional columns of which at least one must be there, without nulls.
        key: the column that names each row once; None where rows have no such name.
    """

    name: str
    columns: tuple[TableColumn, ...]
    one_of: tuple[str, ...] = ()
    key: str | None = None


def with_required(schema: TableSchema, *names: str) -> TableSchema:
    """The same table where more columns must be there.

    >>> [column.name for column in with_required(USERS, "user_id").columns if column.required]
    ['user_id']
    """
    columns = tuple(replace(column, required=column.required or column.name in names) for column in schema.columns)
    return replace(schema, columns=columns)


INTERACTIONS = TableSchema(
    "interactions",
    (
        TableColumn("user_id", ColumnKind.ID, required=True),
        TableColumn("item_id", ColumnKind.ID, required=True),
        TableColumn("timestamp", ColumnKind.TIME),
        TableColumn("order", ColumnKind.INTEGER),
        TableColumn("rating", ColumnKind.NUMBER),
        TableColumn("weight", ColumnKind.NUMBER),
        TableColumn("event", ColumnKind.TEXT),
    ),
    one_of=("timestamp", "order"),
)

ITEMS = TableSchema(
    "items",
    (
        TableColumn("item_id", ColumnKind.ID, required=True),
        TableColumn("title", ColumnKind.TEXT),
        TableColumn("text", ColumnKind.TEXT),
        TableColumn("categories", ColumnKind.TEXTS),
    ),
    key="item_id",
)

USERS = TableSchema("users", (TableColumn("user_id", ColumnKind.ID, required=True),), key="user_id")

IMPRESSIONS = TableSchema(
    "impressions",
    (
        TableColumn("request_id", ColumnKind.ID, required=True),
        TableColumn("user_id", ColumnKind.ID, required=True),
        TableColumn("timestamp", ColumnKind.TIME, required=True),
        TableColumn("slate", ColumnKind.IDS, required=True),
        TableColumn("clicks", ColumnKind.POSITIONS, required=True),
        TableColumn("source", ColumnKind.TEXT),
        TableColumn("candidates", ColumnKind.IDS),
        TableColumn("propensity", ColumnKind.NUMBER),
        TableColumn("prefix_propensities", ColumnKind.NUMBERS),
        TableColumn("slot_propensities", ColumnKind.NUMBERS),
    ),
    key="request_id",
)

ACTION_FEEDBACK = TableSchema(
    "feedback",
    (
        TableColumn("action", ColumnKind.ID, required=True),
        TableColumn("reward", ColumnKind.NUMBER, required=True),
        TableColumn("propensity", ColumnKind.NUMBER),
        TableColumn("request_id", ColumnKind.ID),
        TableColumn("user_id", ColumnKind.ID),
        TableColumn("timestamp", ColumnKind.TIME),
        TableColumn("context", ColumnKind.NUMBERS),
        TableColumn("candidates", ColumnKind.IDS),
        TableColumn("policy", ColumnKind.TEXT),
        TableColumn("cost", ColumnKind.NUMBER),
    ),
)

SLATE_FEEDBACK = TableSchema(
    "feedback",
    (
        TableColumn("slate", ColumnKind.IDS, required=True),
        TableColumn("rewards", ColumnKind.NUMBERS),
        TableColumn("reward", ColumnKind.NUMBER),
        TableColumn("request_id", ColumnKind.ID),
        TableColumn("user_id", ColumnKind.ID),
        TableColumn("timestamp", ColumnKind.TIME),
        TableColumn("context", ColumnKind.NUMBERS),
        TableColumn("candidates", ColumnKind.IDS),
        TableColumn("policy", ColumnKind.TEXT),
        TableColumn("propensity", ColumnKind.NUMBER),
        TableColumn("prefix_propensities", ColumnKind.NUMBERS),
        TableColumn("slot_propensities", ColumnKind.NUMBERS),
    ),
    one_of=("rewards", "reward"),
)

TRAJECTORIES = TableSchema(
    "trajectories",
    (
        TableColumn("episode_id", ColumnKind.ID, required=True),
        TableColumn("step", ColumnKind.INTEGER, required=True),
        TableColumn("action", ColumnKind.ID, required=True),
        TableColumn("reward", ColumnKind.NUMBER, required=True),
        TableColumn("propensity", ColumnKind.NUMBER),
        TableColumn("context", ColumnKind.NUMBERS),
        TableColumn("done", ColumnKind.NUMBER),
    ),
)

ACTIONS = TableSchema("actions", (TableColumn("action", ColumnKind.ID, required=True),), key="action")

POLICY_TABLE = TableSchema(
    "policy_table",
    (
        TableColumn("request_id", ColumnKind.ID, required=True),
        TableColumn("action", ColumnKind.ID, required=True),
        TableColumn("probability", ColumnKind.NUMBER, required=True),
    ),
)

SLATE_POLICY_TABLE = TableSchema(
    "policy_table",
    (
        TableColumn("request_id", ColumnKind.ID, required=True),
        TableColumn("propensity", ColumnKind.NUMBER),
        TableColumn("prefix_propensities", ColumnKind.NUMBERS),
        TableColumn("slot_propensities", ColumnKind.NUMBERS),
    ),
    one_of=("propensity", "prefix_propensities", "slot_propensities"),
)

SLOT_POLICY_TABLE = TableSchema(
    "policy_table",
    (
        TableColumn("request_id", ColumnKind.ID, required=True),
        TableColumn("slot", ColumnKind.INTEGER, required=True),
        TableColumn("action", ColumnKind.ID, required=True),
        TableColumn("probability", ColumnKind.NUMBER, required=True),
    ),
)


def read_table(location: str | Path, schema: TableSchema, *, values: bool = True) -> pl.LazyFrame:
    """A table's rows, not yet read, after one pass over the columns that matter.

    Args:
        location: a Parquet file, a folder of them, hive partitions, a pattern, an object-store URL, or a `.csv` file
            with a header.
        schema: what the table must be.
        values: whether to look at values too: nulls, times and keys; without it only columns and their types are, and
            whoever reads the rows has rules of their own.

    Returns:
        The rows with every column of the table; categorical ids as strings.

    Raises:
        DataError: when the table is missing, damaged or empty, a column is missing or of another type, an id, a time or
            an order is null, a key comes twice, or times are not seconds. It names file, column and first bad row.
    """
    location = str(location)
    with scan.polars_errors(location):
        frame = scan.scan(location)
        if location.endswith(".csv"):
            frame = _typed(frame, schema, location)
        present = frame.collect_schema()
        _check_columns(present, schema, location)
        never_null = [
            column for column in schema.columns if column.name in present and _never_null(column, schema) and values
        ]
        wanted = [pl.len().alias("__rows"), *_facts(never_null, present)]
        facts = frame.select(wanted).collect(engine="streaming").row(0, named=True)
        if not facts["__rows"]:
            raise DataError(f"{location}: table {schema.name!r} has no rows")
        for column in never_null:
            _check_values(column, facts, location)
        if schema.key and values:
            check_key(frame, schema.key, facts["__rows"], location)
    ids = [column.name for column in schema.columns if column.name in present and column.kind is ColumnKind.ID]
    return frame.with_columns(pl.col([name for name in ids if not present[name].is_integer()]).cast(pl.String))


def _never_null(column: TableColumn, schema: TableSchema) -> bool:
    return column.required or column.name in schema.one_of


def _check_columns(present: Mapping[str, Any], schema: TableSchema, location: str) -> None:
    names = ", ".join(present)
    for column in schema.columns:
        if column.required and column.name not in present:
            raise DataError(
                f"{location}: column {column.name!r} of table {schema.name!r} is missing; found {names}: rename or add"
            )
        if column.name in present and column.name not in cs.expand_selector(present, column.kind.selector):
            raise DataError(
                f"{location}: column {column.name!r} of table {schema.name!r} holds {present[column.name]},"
                f" expected {column.kind.value}{_example(location, column.name)}: cast it"
            )
    if schema.one_of and not any(name in present for name in schema.one_of):
        choices = " or ".join(repr(name) for name in schema.one_of)
        raise DataError(f"{location}: table {schema.name!r} needs a column {choices}; found {names}")


def _example(location: str, name: str) -> str:
    """The first value of a column that cannot be read, and where it stands."""
    if scan.scan(location).select(pl.col(name).is_not_null().any()).collect(engine="streaming").item():
        file, row, value = scan.first_row(location, pl.col(name).is_not_null(), name)
        shown = value.to_list() if isinstance(value, pl.Series) else value
        return f" ({file}, row {row} from 0: {shown!r})"
    return ""


def _facts(columns: list[TableColumn], present: Mapping[str, Any]) -> list[pl.Expr]:
    nulls = [pl.col(column.name).null_count() for column in columns]
    times = [column.name for column in columns if column.kind is ColumnKind.TIME and present[column.name].is_integer()]
    return nulls + [pl.col(name).max().alias(f"__max_{name}") for name in times]


def _check_values(column: TableColumn, facts: dict[str, int], location: str) -> None:
    name = column.name
    if facts[name]:
        file, row, _ = scan.first_row(location, pl.col(name).is_null(), name)
        raise DataError(
            f"{file}, row {row} (from 0), column {name!r}: null, as in {facts[name]:,} row(s); fill or drop them"
        )
    if (facts.get(f"__max_{name}") or 0) > LATEST_SECOND:
        late = pl.col(name).cast(pl.Int64) > LATEST_SECOND
        file, row, value = scan.first_row(location, late, name)
        raise DataError(
            f"{file}, row {row} (from 0), column {name!r}: {value} looks like milliseconds or finer, expected seconds"
            " since 1970 UTC: divide the column (milliseconds by 1,000), or store a Datetime"
        )


def check_key(frame: pl.LazyFrame, key: str, rows: int, location: str) -> None:
    """Refuse a table of `rows` rows in which some value of the column `key` comes twice."""
    if frame.select(pl.col(key).n_unique()).collect().item() == rows:
        return
    twice = frame.select(key).with_row_index("row").filter(~pl.col(key).is_first_distinct()).head(1).collect()
    raise DataError(
        f"{location}, row {twice.item(0, 'row')} (from 0), column {key!r}: {twice.item(0, key)!r} stands in the table"
        " twice; keep one row for each"
    )


def _typed(frame: pl.LazyFrame, schema: TableSchema, location: str) -> pl.LazyFrame:
    """Text columns of a `.csv` file as the types they stand for; ids that are all integers become integers."""
    targets = {ColumnKind.TIME: pl.Int64(), ColumnKind.INTEGER: pl.Int64(), ColumnKind.NUMBER: pl.Float64()}
    present = frame.collect_schema()
    for column in schema.columns:
        target = targets.get(column.kind, pl.Int64() if column.kind is ColumnKind.ID else None)
        if column.name not in present or target is None:
            continue
        bad = pl.col(column.name).is_not_null() & pl.col(column.name).cast(target, strict=False).is_null()
        if frame.select(bad.any()).collect().item():
            if column.kind is ColumnKind.ID:
                continue
            _, row, value = scan.first_row(location, bad, column.name)
            raise DataError(
                f"{location}, row {row} (from 0, after the header), column {column.name!r}: {value!r}, expected"
                f" {column.kind.value}"
            )
        frame = frame.with_columns(pl.col(column.name).cast(target))
    return frame
