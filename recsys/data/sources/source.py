"""The protocols of sources, and the canonical tables that they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import polars as pl


@dataclass(frozen=True)
class Tables:
    """Canonical tables of one source, not yet read.

    Args:
        interactions: one row an event: `user_id`, `item_id`, `timestamp` or `order`.
        items: one row an item: `item_id` and any feature; None where the source has none.
        users: one row a user: `user_id` and any feature; None where the source has none.
        name: what reports and folders call the data.
        fingerprint: changes whenever the tables' content does.
    """

    interactions: pl.LazyFrame
    items: pl.LazyFrame | None
    users: pl.LazyFrame | None
    name: str
    fingerprint: str


@runtime_checkable
class Source(Protocol):
    """Something that has canonical tables: a public data set or a folder of one's own."""

    def tables(self) -> Tables:
        """The tables, checked and lazy; whatever must be downloaded is downloaded here."""
        ...


@dataclass(frozen=True)
class SlateTables:
    """Canonical tables of one source of slates, checked and not yet read.

    Args:
        impressions: one row a shown slate: `request_id`, `user_id`, `timestamp`, `slate`, `clicks` and what else
            `recsys.data.tables.canonical.IMPRESSIONS` names.
        name: what reports call the data.
        fingerprint: changes whenever the tables' content does.
        items: one row an item: `item_id` and any feature; None where the source has none.
        users: one row a user: `user_id` and any feature; None where the source has none.
        group: column of `items` that puts each item into a group: a string, an integer, or a list whose whole is the
            group; None where there are no groups.
        timed: whether `timestamp` is a time; false where it only orders a user's impressions.
        displayed: whether `slate` has the order of display; false where that order was not recorded, so that positions
            are names of slots and nothing more.
        dropped: what the source holds and the tables do not, in numbers: reason → count.
    """

    impressions: pl.LazyFrame
    name: str
    fingerprint: str
    items: pl.LazyFrame | None = None
    users: pl.LazyFrame | None = None
    group: str | None = None
    timed: bool = True
    displayed: bool = True
    dropped: Mapping[str, int] = field(default_factory=dict)


@runtime_checkable
class SlateSource(Protocol):
    """Something that has slates: a public data set or a folder of one's own."""

    def slates(self) -> SlateTables:
        """The tables, checked."""
        ...
