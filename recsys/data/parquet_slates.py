"""Anyone's own canonical tables of slates."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from recsys.data import scan
from recsys.data.impressions import inner, read_impressions
from recsys.data.parquet import mark, read_features, where
from recsys.data.schema import ITEMS, USERS
from recsys.data.slate_source import SlateTables
from recsys.errors import DataError


@dataclass(frozen=True)
class ParquetSlates:
    """A folder with an `impressions` table and, if there are, `items` and `users`.

    The tables are found, and the fingerprint is made, as `recsys.data.parquet.ParquetTables` does it.

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
        place = where(root, "impressions", self.impressions, main=True)
        if place is None:
            raise DataError(f"{root}: no table 'impressions' in it; expected impressions.parquet or a folder of them")
        impressions = read_impressions(place)
        kinds = {"item_id": inner(impressions, "slate"), "user_id": impressions.collect_schema()["user_id"]}
        features, marks = {}, [mark(place, impressions)]
        for schema, given, key in ((ITEMS, self.items, "item_id"), (USERS, self.users, "user_id")):
            location = where(root, schema.name, given)
            if location is not None:
                features[schema.name] = read_features(location, schema, key, kinds[key], place)
                marks.append(mark(location, features[schema.name]))
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
