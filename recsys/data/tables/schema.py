"""Schemas of tables: what columns hold, and the function that reads a table and checks it against its schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs

from recsys.data.tables import scan
from recsys.data.tables.text import is_integer, is_text
from recsys.errors import DataError

LATEST_SECOND = 100_000_000_000
"""Seconds from 1970 to the year 5138. A larger timestamp is taken to count milliseconds or something shorter."""


class ColumnKind(Enum):
    """The kinds of columns. The value is the description that error messages print."""

    ID = "integers or strings"
    TIME = "integer seconds since 1970 UTC or a Datetime"
    INTEGER = "integers"
    NUMBER = "numbers"
    TEXT = "strings"
    TEXTS = "lists of strings, or strings"
    IDS = "lists of integers or of strings"
    POSITIONS = "lists of integers"
    NUMBERS = "lists of numbers"
    FEEDBACK = "numbers, or lists of numbers"

    @property
    def selector(self) -> cs.Selector:
        """Return a selector of the columns whose polars type can be read as this kind.

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
            case ColumnKind.FEEDBACK:
                return cs.numeric() | cs.boolean() | cs.list(cs.numeric() | cs.boolean())


@dataclass(frozen=True)
class TableColumn:
    """One column of a table.

    Args:
        name: name of the column.
        kind: what the column holds.
        required: whether the table must have the column, with a value in every row.
    """

    name: str
    kind: ColumnKind
    required: bool = False


@dataclass(frozen=True)
class TableSchema:
    """The columns that a table must have and may have.

    Args:
        name: name of the table.
        columns: the columns with a meaning. Other columns are kept and not read.
        one_of: names of optional columns. The table must have at least one of them, without nulls.
        key: the column whose value identifies a row, once each; None if the table has no such column.
    """

    name: str
    columns: tuple[TableColumn, ...]
    one_of: tuple[str, ...] = ()
    key: str | None = None


def with_required(schema: TableSchema, *names: str) -> TableSchema:
    """Return the schema with further columns required.

    >>> from recsys.data.tables.canonical import USERS
    >>> [column.name for column in with_required(USERS, "user_id").columns if column.required]
    ['user_id']
    """
    columns = tuple(replace(column, required=column.required or column.name in names) for column in schema.columns)
    return replace(schema, columns=columns)


def read_table(location: str | Path, schema: TableSchema, *, values: bool = True) -> pl.LazyFrame:
    """Check a table against its schema and return its rows as a lazy frame.

    The check reads the required columns once. The rows themselves are read when the frame is collected.

    Args:
        location: a Parquet file, a folder of Parquet files, hive partitions, a glob pattern, an object-store URL, or a
            file of text with a header (`.csv`, `.tsv`, also `.gz`).
        schema: what the table must be.
        values: True checks columns, their types, nulls, times and keys. False checks columns and types only, for
            callers that have row rules of their own.

    Returns:
        Every column of the table. Categorical ids are cast to strings.

    Raises:
        DataError: the table is missing, damaged or empty; a column is missing or has another type; an id, a time or an
            order is null; a key occurs twice; or times are not in seconds. The message names the file, the column and
            the first bad row.
    """
    location = str(location)
    with scan.polars_errors(location):
        frame = scan.scan(location)
        if is_text(location):
            frame = _typed(frame, schema, location)
        present = frame.collect_schema()
        _check_columns(present, schema, location)
        never_null = [
            column for column in schema.columns if column.name in present and _never_null(column, schema) and values
        ]
        wanted = [pl.len().alias("__rows"), *_facts(never_null, present)]
        facts = frame.select(wanted).collect(engine="streaming").row(0, named=True)
        if not facts["__rows"]:
            raise DataError(f"{location}: table {schema.name!r} has no rows; give a table with some")
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
                f"{location}: column {column.name!r} of table {schema.name!r} is missing; found {names}. Rename one"
                " or add it"
            )
        if column.name in present and column.name not in cs.expand_selector(present, column.kind.selector):
            raise DataError(
                f"{location}: column {column.name!r} of table {schema.name!r} holds {present[column.name]},"
                f" expected {column.kind.value}{_example(location, column.name)}. Cast it"
            )
    if schema.one_of and not any(name in present for name in schema.one_of):
        choices = " or ".join(repr(name) for name in schema.one_of)
        raise DataError(f"{location}: table {schema.name!r} needs a column {choices}; found {names}. Add one")


def _example(location: str, name: str) -> str:
    """Describe the first value of a column that has the wrong type: its file, row and value."""
    if scan.scan(location).select(pl.col(name).is_not_null().any()).collect(engine="streaming").item():
        file, row, value = scan.first_row(location, pl.col(name).is_not_null(), name)
        shown = value.to_list() if isinstance(value, pl.Series) else value
        return f" ({file}, row {row} from 0: {shown!r})"
    return ""


def _facts(columns: list[TableColumn], present: Mapping[str, Any]) -> list[pl.Expr]:
    nulls = [pl.col(column.name).null_count() for column in columns]
    times = [column.name for column in columns if column.kind is ColumnKind.TIME and present[column.name].is_integer()]
    wide = [
        one.name for one in columns if one.kind is ColumnKind.INTEGER and present[one.name] in (pl.UInt64, pl.Int128)
    ]
    return [
        *nulls,
        *(pl.col(name).max().alias(f"__max_{name}") for name in times),
        *(_beyond_int64(name).any().alias(f"__beyond_{name}") for name in wide),
    ]


def _beyond_int64(name: str) -> pl.Expr:
    return pl.col(name).is_not_null() & pl.col(name).cast(pl.Int64, strict=False).is_null()


def _check_values(column: TableColumn, facts: dict[str, int], location: str) -> None:
    name = column.name
    if facts[name]:
        file, row, _ = scan.first_row(location, pl.col(name).is_null(), name)
        raise DataError(
            f"{file}, row {row} (from 0), column {name!r}: found null, in {facts[name]:,} row(s) of the table;"
            " expected a value. Fill these rows or drop them"
        )
    if facts.get(f"__beyond_{name}"):
        file, row, value = scan.first_row(location, _beyond_int64(name), name)
        raise DataError(
            f"{file}, row {row} (from 0), column {name!r}: {value} does not fit into 64 bits with a sign, expected"
            " smaller integers. Subtract a constant, or rank the values"
        )
    if (facts.get(f"__max_{name}") or 0) > LATEST_SECOND:
        late = pl.col(name).cast(pl.Int64) > LATEST_SECOND
        file, row, value = scan.first_row(location, late, name)
        raise DataError(
            f"{file}, row {row} (from 0), column {name!r}: {value} looks like milliseconds or finer, expected seconds"
            " since 1970 UTC. Divide the column (milliseconds by 1,000), or store a Datetime"
        )


def check_key(frame: pl.LazyFrame, key: str, rows: int, location: str) -> None:
    """Raise an error if some value of the column `key` occurs twice.

    Args:
        frame: the table.
        key: column whose values must be distinct.
        rows: number of rows of the table.
        location: what the message calls the table.

    Raises:
        DataError: a value occurs twice. The message names the row of the second occurrence.
    """
    if frame.select(pl.col(key).n_unique()).collect().item() == rows:
        return
    twice = frame.select(key).with_row_index("row").filter(~pl.col(key).is_first_distinct()).head(1).collect()
    raise DataError(
        f"{location}, row {twice.item(0, 'row')} (from 0), column {key!r}: {twice.item(0, key)!r} occurs twice,"
        f" expected each {key!r} once. Keep one of the rows"
    )


def _typed(frame: pl.LazyFrame, schema: TableSchema, location: str) -> pl.LazyFrame:
    """Cast the columns of a file of text to the types of their kinds.

    Ids become integers if each of them is an integer as it is printed: `007` and `7` are two ids, and stay strings.
    """
    targets = {ColumnKind.TIME: pl.Int64(), ColumnKind.INTEGER: pl.Int64(), ColumnKind.NUMBER: pl.Float64()}
    present = frame.collect_schema()
    known = [column for column in schema.columns if column.name in present]
    if not known:
        return frame
    ids = [column.name for column in known if column.kind is ColumnKind.ID]
    cast = {column.name: targets[column.kind] for column in known if column.kind in targets}
    bad = {
        name: pl.col(name).is_not_null() & pl.col(name).cast(target, strict=False).is_null()
        for name, target in cast.items()
    }
    facts = [is_integer(pl.col(name)).all().alias(name) for name in ids]
    found = frame.select(*facts, *(broken.any().alias(name) for name, broken in bad.items()))
    row = found.collect(engine="streaming").row(0, named=True)
    for column in known:
        if column.name in bad and row[column.name]:
            _, number, value = scan.first_row(location, bad[column.name], column.name)
            raise DataError(
                f"{location}, row {number} (from 0, after the header), column {column.name!r}: found {value!r},"
                f" expected {column.kind.value}. Correct the value"
            )
    return frame.with_columns(
        *(pl.col(name).cast(pl.Int64) for name in ids if row[name]),
        *(pl.col(name).cast(target) for name, target in cast.items()),
    )
