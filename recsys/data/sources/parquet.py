"""A user's own canonical tables of interactions or of impressions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from recsys.data.sources.source import SlateTables, Tables
from recsys.data.tables import scan
from recsys.data.tables.canonical import INTERACTIONS, ITEMS, USERS
from recsys.data.tables.download import sha256
from recsys.data.tables.impressions import element_type, read_impressions
from recsys.data.tables.schema import TableSchema, read_table
from recsys.errors import DataError


@dataclass(frozen=True)
class ParquetTables:
    """A folder with an `interactions` table and, if there are, `items` and `users`.

    Each table is `<root>/<table>.parquet`, a folder `<root>/<table>/` of Parquet files at any depth (hive partitions
    become columns), or `<root>/<table>.csv`. In an object store (`s3://…`, `gs://…`, `az://…`) nothing is listed:
    `interactions` is the folder there, and the two others are read only where they are named.

    The fingerprint is made of the bytes of local files; of an object store's table, of its address, columns and number
    of rows, so that a change of values alone goes unnoticed there.

    Args:
        root: the folder, local or in an object store.
        interactions: location of the table, if not in `root` under its own name: a file, folder, pattern or URL.
        items: the same.
        users: the same.
        name: what reports call the data; the last part of `root` if None.
    """

    root: str | Path
    interactions: str | Path | None = None
    items: str | Path | None = None
    users: str | Path | None = None
    name: str | None = None

    def tables(self) -> Tables:
        """The tables, checked."""
        root = str(self.root).rstrip("/")
        if not scan.is_remote(root) and self.interactions is None and not Path(root).is_dir():
            raise DataError(f"{root}: no such folder; expected one that holds interactions.parquet")
        place = table_location(root, "interactions", self.interactions, main=True)
        if place is None:
            raise DataError(f"{root}: no table 'interactions' in it; expected interactions.parquet or a folder of them")
        interactions = read_table(place, INTERACTIONS)
        features = {}
        marks = [table_fingerprint(place, interactions)]
        for schema, given, key in ((ITEMS, self.items, "item_id"), (USERS, self.users, "user_id")):
            location = table_location(root, schema.name, given)
            if location is not None:
                kind = interactions.collect_schema()[key]
                features[schema.name] = read_features(location, schema, key, kind, place)
                marks.append(table_fingerprint(location, features[schema.name]))
        return Tables(
            interactions=interactions,
            items=features.get("items"),
            users=features.get("users"),
            name=self.name or Path(root).absolute().name,
            fingerprint=hashlib.sha256("\n".join(marks).encode()).hexdigest(),
        )


def table_location(root: str, table: str, given: str | Path | None, *, main: bool = False) -> str | None:
    """Where a table is; None where it is not.

    Args:
        root: folder of the tables, without a slash at its end.
        table: its name.
        given: its location if that is not in `root` under its own name.
        main: whether it is the table without which there is nothing to read: in an object store, where nothing is
            listed, it is then taken to be the folder of its name.
    """
    if given is not None:
        return str(given)
    if scan.is_remote(root):
        return f"{root}/{table}" if main else None
    choices = (f"{root}/{table}{suffix}" for suffix in (".parquet", "", ".csv"))
    return next((choice for choice in choices if Path(choice).exists()), None)


def read_features(location: str, schema: TableSchema, key: str, kind: Any, place: str) -> pl.LazyFrame:
    """A table of features whose ids can be compared with those of the log.

    Args:
        location: of the table.
        schema: what it must be.
        key: the column of its ids.
        kind: polars type of those ids in the log.
        place: where the log is, for the message.

    Raises:
        DataError: when one has integers and the other strings, or the table is malformed.
    """
    table = read_table(location, schema)
    theirs = table.collect_schema()[key]
    if kind.is_integer() != theirs.is_integer():
        raise DataError(f"column {key!r} is {theirs} in {location} and {kind} in {place}: make both the same")
    return table


def table_fingerprint(location: str, frame: pl.LazyFrame) -> str:
    """Text that changes with the table's content."""
    if scan.is_remote(location):
        rows = frame.select(pl.len()).collect().item()
        return f"{location} {frame.collect_schema()} {rows}"
    files = [Path(location)] if location.endswith(".csv") else scan.local_files(location)
    base = Path(location)
    return " ".join(f"{file.relative_to(base) if base.is_dir() else file.name} {sha256(file)}" for file in files)


@dataclass(frozen=True)
class ParquetSlates:
    """A folder with an `impressions` table and, if there are, `items` and `users`.

    The tables are found, and the fingerprint is made, as `recsys.data.sources.parquet.ParquetTables` does it.

    Args:
        root: the folder, local or in an object store.
        impressions: location of the table, if not in `root` under its own name: a file, folder, pattern or URL.
        items: the same.
        users: the same.
        group: column of `items` that puts each item into a group, such as `categories`; None where there are no groups.
        name: what reports call the data; the last part of `root` if None.
    """

    root: str | Path
    impressions: str | Path | None = None
    items: str | Path | None = None
    users: str | Path | None = None
    group: str | None = None
    name: str | None = None

    def slates(self) -> SlateTables:
        """The tables, checked."""
        root = str(self.root).rstrip("/")
        place = table_location(root, "impressions", self.impressions, main=True)
        if place is None:
            raise DataError(f"{root}: no table 'impressions' in it; expected impressions.parquet or a folder of them")
        impressions = read_impressions(place)
        kinds = {"item_id": element_type(impressions, "slate"), "user_id": impressions.collect_schema()["user_id"]}
        features, marks = {}, [table_fingerprint(place, impressions)]
        for schema, given, key in ((ITEMS, self.items, "item_id"), (USERS, self.users, "user_id")):
            location = table_location(root, schema.name, given)
            if location is not None:
                features[schema.name] = read_features(location, schema, key, kinds[key], place)
                marks.append(table_fingerprint(location, features[schema.name]))
        if self.group is not None:
            found = features["items"].collect_schema().names() if "items" in features else []
            if self.group not in found:
                raise DataError(
                    f"{root}: table 'items' has no column {self.group!r} to group items by; found"
                    f" {', '.join(found) or 'no such table'}"
                )
        return SlateTables(
            impressions=impressions,
            name=self.name or (root.rsplit("/", 1)[-1] if scan.is_remote(root) else Path(root).absolute().name),
            fingerprint=hashlib.sha256("\n".join(marks).encode()).hexdigest(),
            items=features.get("items"),
            users=features.get("users"),
            group=self.group,
        )
