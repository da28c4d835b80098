"""Sources that read your own canonical tables of interactions or of impressions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from typing_extensions import override

from recsys.data.sources.source import SlateSource, SlateTables, Source, Tables
from recsys.data.tables import scan
from recsys.data.tables.canonical import INTERACTIONS, ITEMS, USERS
from recsys.data.tables.download import sha256
from recsys.data.tables.impressions import element_type, read_impressions
from recsys.data.tables.schema import TableSchema, read_table
from recsys.errors import DataError


@dataclass(frozen=True)
class ParquetTables(Source):
    """A folder with the table `interactions` and, optionally, `items` and `users`.

    Each table is a file `<root>/<table>.parquet`, a folder `<root>/<table>/` of Parquet files at any depth (hive
    partitions become columns), or a file `<root>/<table>.csv`. Object stores (`s3://…`, `gs://…`, `az://…`) are not
    listed: there `interactions` is the folder `<root>/interactions`, and `items` and `users` are read only if their
    locations are given.

    The fingerprint of a local table is computed from its bytes. In an object store it is computed from the address, the
    columns and the number of rows; a change of values alone does not change it.

    Args:
        root: the folder, local or in an object store.
        interactions: location of the table if it is not `<root>/interactions`: a file, folder, pattern or URL.
        items: location of the table if it is not `<root>/items`.
        users: location of the table if it is not `<root>/users`.
        name: name of the data in reports; None takes the last part of `root`.
    """

    root: str | Path
    interactions: str | Path | None = None
    items: str | Path | None = None
    users: str | Path | None = None
    name: str | None = None

    @override
    def tables(self) -> Tables:
        root = str(self.root).rstrip("/")
        if not scan.is_remote(root) and self.interactions is None and not Path(root).is_dir():
            raise DataError(f"{root}: no such folder; expected one that holds interactions.parquet. Check the path")
        place = table_location(root, "interactions", self.interactions, main=True)
        if place is None:
            raise DataError(f"{root}: no table 'interactions' in it; expected interactions.parquet or such a folder")
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
    choices = (f"{root}/{table}{suffix}" for suffix in (".parquet", "", ".csv"))
    return next((choice for choice in choices if Path(choice).exists()), None)


def read_features(location: str, schema: TableSchema, key: str, kind: Any, place: str) -> pl.LazyFrame:
    """Return a table of features whose ids have the type that they have in the log.

    Args:
        location: location of the table.
        schema: schema of the table.
        key: column of the ids.
        kind: polars type of these ids in the log.
        place: location of the log, for the message.

    Raises:
        DataError: the ids are integers in one table and strings in the other, or the table is malformed.
    """
    table = read_table(location, schema)
    theirs = table.collect_schema()[key]
    if kind.is_integer() != theirs.is_integer():
        raise DataError(f"column {key!r} is {theirs} in {location} and {kind} in {place}. Cast one of them")
    return table


def table_fingerprint(location: str, frame: pl.LazyFrame) -> str:
    """Return text that changes whenever the content of the table changes; see `ParquetTables` for object stores."""
    if scan.is_remote(location):
        rows = frame.select(pl.len()).collect().item()
        return f"{location} {frame.collect_schema()} {rows}"
    files = [Path(location)] if location.endswith(".csv") else scan.local_files(location)
    base = Path(location)
    return " ".join(f"{file.relative_to(base) if base.is_dir() else file.name} {sha256(file)}" for file in files)


@dataclass(frozen=True)
class ParquetSlates(SlateSource):
    """A folder with the table `impressions` and, optionally, `items` and `users`.

    Tables are located and fingerprints computed as in `ParquetTables`.

    Args:
        root: the folder, local or in an object store.
        impressions: location of the table if it is not `<root>/impressions`: a file, folder, pattern or URL.
        items: location of the table if it is not `<root>/items`.
        users: location of the table if it is not `<root>/users`.
        group: column of `items` that assigns each item to a group, such as `categories`; None means no groups.
        name: name of the data in reports; None takes the last part of `root`.
    """

    root: str | Path
    impressions: str | Path | None = None
    items: str | Path | None = None
    users: str | Path | None = None
    group: str | None = None
    name: str | None = None

    @override
    def slates(self) -> SlateTables:
        root = str(self.root).rstrip("/")
        place = table_location(root, "impressions", self.impressions, main=True)
        if place is None:
            raise DataError(f"{root}: no table 'impressions' in it; expected impressions.parquet or such a folder")
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
                    f" {', '.join(found) or 'no such table'}. Name another column, or set group=null"
                )
        return SlateTables(
            impressions=impressions,
            name=self.name or (root.rsplit("/", 1)[-1] if scan.is_remote(root) else Path(root).absolute().name),
            fingerprint=hashlib.sha256("\n".join(marks).encode()).hexdigest(),
            items=features.get("items"),
            users=features.get("users"),
            group=self.group,
        )
