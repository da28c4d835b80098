"""Find the tables of a folder, read those of features, and compute fingerprints of their content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from recsys.data.tables import scan
from recsys.data.tables.canonical import ITEMS, USERS
from recsys.data.tables.download import sha256
from recsys.data.tables.schema import TableSchema, read_table
from recsys.data.tables.text import as_ids, is_text
from recsys.errors import DataError

SUFFIXES = (".parquet", "", ".csv", ".csv.gz", ".tsv", ".tsv.gz")
"""Ends of the name of a table's file or folder, in the order in which they are looked for."""


def table_location(root: str, table: str, given: str | Path | None, *, main: bool = False) -> str | None:
    """Return the location of a table, or None if there is no such table.

    Args:
        root: folder of the tables, without a slash at its end.
        table: name of the table.
        given: location of the table if it is not `<root>/<table>`.
        main: whether the table is required. In an object store, which is not listed, a required table is taken to be
            the folder `<root>/<table>`.
    """
    if given is not None:
        return str(given)
    if scan.is_remote(root):
        return f"{root}/{table}" if main else None
    choices = (f"{root}/{table}{suffix}" for suffix in SUFFIXES)
    return next((choice for choice in choices if Path(choice).exists()), None)


def read_features(location: str, schema: TableSchema, key: str, kind: Any, place: str) -> pl.LazyFrame:
    """Return a table of features whose ids have the type that they have in the log.

    Args:
        location: location of the table.
        schema: schema of the table.
        key: column of the ids.
        kind: polars type of these ids in the log.
        place: location of the log, for the message.

    Ids of a file of text are strings if those of the log are.

    Raises:
        DataError: the ids are integers in one table and strings in the other, or the table is malformed.
    """
    table = read_table(location, schema)
    theirs = table.collect_schema()[key]
    if theirs.is_integer() and not kind.is_integer() and is_text(location):
        return table.with_columns(as_ids(pl.col(key), theirs, pl.String()))
    if kind.is_integer() != theirs.is_integer():
        raise DataError(f"column {key!r} is {theirs} in {location} and {kind} in {place}. Cast one of them")
    return table


@dataclass(frozen=True)
class FeatureTables:
    """The tables of features beside a log.

    Args:
        items: one row an item, or None.
        users: one row a user, or None.
        marks: fingerprints of those that there are.
    """

    items: pl.LazyFrame | None
    users: pl.LazyFrame | None
    marks: list[str]

    def check_group(self, group: str | None, root: str) -> None:
        """Raise an error if items are to be grouped by a column that their table does not have.

        Args:
            group: the column, or None.
            root: what the message calls the folder.
        """
        if group is None:
            return
        found = [] if self.items is None else self.items.collect_schema().names()
        if group not in found:
            raise DataError(
                f"{root}: table 'items' has no column {group!r} to group items by; found"
                f" {', '.join(found) or 'no such table'}. Name another column, or set group=null"
            )


def read_all_features(
    root: str, items: str | Path | None, users: str | Path | None, kinds: Mapping[str, Any], place: str
) -> FeatureTables:
    """Return the tables `items` and `users` of a folder.

    Args:
        root: folder of the tables, without a slash at its end.
        items: location of the table if it is not `<root>/items`.
        users: location of the table if it is not `<root>/users`.
        kinds: polars types of `item_id` and `user_id` in the log.
        place: location of the log, for messages.

    Raises:
        DataError: `read_features` refuses one of them.
    """
    tables: dict[str, pl.LazyFrame] = {}
    marks = []
    for schema, given, key in ((ITEMS, items, "item_id"), (USERS, users, "user_id")):
        location = table_location(root, schema.name, given)
        if location is not None:
            tables[schema.name] = read_features(location, schema, key, kinds[key], place)
            marks.append(table_fingerprint(location, tables[schema.name]))
    return FeatureTables(tables.get("items"), tables.get("users"), marks)


def content_fingerprint(*marks: str) -> str:
    """Return the SHA-256 of the fingerprints of the tables of a source and of the options that change what is read."""
    return hashlib.sha256("\n".join(marks).encode()).hexdigest()


def log_name(root: str, name: str | None) -> str:
    """Return the name of a log: the one given, or the last part of its folder or URL."""
    return name or (root.rsplit("/", 1)[-1] if scan.is_remote(root) else Path(root).absolute().name)


def table_fingerprint(location: str, frame: pl.LazyFrame) -> str:
    """Return text that changes whenever the content of the table changes; see
    `recsys.data.sources.parquet.ParquetTables` for object stores.
    """
    if scan.is_remote(location):
        rows = frame.select(pl.len()).collect().item()
        return f"{location} {frame.collect_schema()} {rows}"
    files = [Path(location)] if is_text(location) else scan.local_files(location)
    base = scan.base_folder(location)
    return " ".join(f"{file.relative_to(base)} {sha256(file)}" for file in files)
