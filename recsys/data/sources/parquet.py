"""Sources that read your own canonical tables of interactions, of impressions or of exposures."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import polars as pl
from typing_extensions import override

from recsys.data.sources.folder import (
    content_fingerprint,
    log_name,
    read_all_features,
    table_fingerprint,
    table_location,
)
from recsys.data.sources.source import SlateSource, SlateTables, Source, Tables
from recsys.data.tables import scan
from recsys.data.tables.canonical import INTERACTIONS
from recsys.data.tables.exposures import read_exposures, slates_of_exposures
from recsys.data.tables.feedback import FeedbackKinds, channel_kinds
from recsys.data.tables.impressions import element_type, read_impressions
from recsys.data.tables.row_checks import RowRule, check_rows
from recsys.data.tables.schema import read_table
from recsys.errors import ConfigurationError, DataError
from recsys.types.feedback import ChannelKind

FINITE_RATING = RowRule(
    "rating",
    ~pl.col("rating").cast(pl.Float64, strict=False).is_finite(),
    "is no rating, expected a finite number, or null where there is none. Correct the value",
)


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
        if "rating" in interactions.collect_schema():
            check_rows(interactions, [FINITE_RATING], partial(scan.first_row, place))
        features = read_all_features(root, self.items, self.users, interactions.collect_schema(), place)
        return Tables(
            interactions=interactions,
            items=features.items,
            users=features.users,
            name=self.name or Path(root).absolute().name,
            fingerprint=content_fingerprint(table_fingerprint(place, interactions), *features.marks),
            location=place,
        )


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
        feedback: further columns of feedback with their kinds. A column of numbers has one a slate, a column of lists
            one for each slot.
    """

    root: str | Path
    impressions: str | Path | None = None
    items: str | Path | None = None
    users: str | Path | None = None
    group: str | None = None
    name: str | None = None
    feedback: FeedbackKinds = field(default_factory=dict)

    @override
    def slates(self) -> SlateTables:
        root = str(self.root).rstrip("/")
        place = table_location(root, "impressions", self.impressions, main=True)
        if place is None:
            raise DataError(f"{root}: no table 'impressions' in it; expected impressions.parquet or such a folder")
        channels = channel_kinds(self.feedback)
        impressions = read_impressions(place, channels)
        kinds = {"item_id": element_type(impressions, "slate"), "user_id": impressions.collect_schema()["user_id"]}
        features = read_all_features(root, self.items, self.users, kinds, place)
        features.check_group(self.group, root)
        return SlateTables(
            impressions=impressions,
            name=log_name(root, self.name),
            fingerprint=content_fingerprint(table_fingerprint(place, impressions), *features.marks),
            items=features.items,
            users=features.users,
            group=self.group,
            feedback=channels,
        )


@dataclass(frozen=True)
class ParquetExposures(SlateSource):
    """A folder with the table `exposures` and, optionally, `items` and `users`.

    What was shown at once is one slate. The table does not say in which order: slots stand by time and then by item id,
    and `SlateTables.displayed` is False. Tables are located and fingerprints computed as in `ParquetTables`.

    Args:
        root: the folder, local or in an object store.
        feedback: the columns of feedback with their kinds.
        click: the one of kind binary that counts as a click, whatever its name.
        request: column whose value ties together what was shown at once; None makes each row a slate of one slot.
        exposures: location of the table if it is not `<root>/exposures`: a file, folder, pattern or URL.
        items: location of the table if it is not `<root>/items`.
        users: location of the table if it is not `<root>/users`.
        group: column of `items` that assigns each item to a group, such as `categories`; None means no groups.
        name: name of the data in reports; None takes the last part of `root`.
    """

    root: str | Path
    feedback: FeedbackKinds
    click: str = "click"
    request: str | None = "request_id"
    exposures: str | Path | None = None
    items: str | Path | None = None
    users: str | Path | None = None
    group: str | None = None
    name: str | None = None

    @override
    def slates(self) -> SlateTables:
        root = str(self.root).rstrip("/")
        channels = channel_kinds(self.feedback)
        if channels.get(self.click) is not ChannelKind.BINARY:
            binary = [name for name, kind in channels.items() if kind is ChannelKind.BINARY]
            raise ConfigurationError(
                f"click: {self.click!r} is no feedback of kind binary; found {', '.join(binary) or 'none'}. Name one"
                " of feedback"
            )
        place = table_location(root, "exposures", self.exposures, main=True)
        if place is None:
            raise DataError(f"{root}: no table 'exposures' in it; expected exposures.parquet or such a folder")
        exposures = read_exposures(place, channels, self.request)
        features = read_all_features(root, self.items, self.users, exposures.collect_schema(), place)
        features.check_group(self.group, root)
        tied = [] if self.request is None else [self.request]
        shown = exposures.select("user_id", "item_id", "timestamp", *tied, *channels).collect()
        options = f"{self.click} {self.request} {sorted(channels.items())}"
        return SlateTables(
            impressions=slates_of_exposures(shown, channels, self.click, self.request).lazy(),
            name=log_name(root, self.name),
            fingerprint=content_fingerprint(table_fingerprint(place, exposures), *features.marks, options),
            items=features.items,
            users=features.users,
            group=self.group,
            displayed=False,
            feedback=channels,
        )
