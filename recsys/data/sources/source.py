"""The protocols of data sources, and the canonical tables that sources return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import polars as pl

from recsys.types.feedback import ChannelKind


@dataclass(frozen=True)
class Tables:
    """The canonical tables of one source of interactions, as lazy frames.

    Args:
        interactions: one row an event, with `user_id`, `item_id`, and `timestamp` or `order`.
        items: one row an item, with `item_id` and any features; None if the source has no such table.
        users: one row a user, with `user_id` and any features; None if the source has no such table.
        name: name of the data in reports and folders.
        fingerprint: text that changes whenever the content of the tables changes.
        location: where the interactions lie, for messages; None says the name.
    """

    interactions: pl.LazyFrame
    items: pl.LazyFrame | None
    users: pl.LazyFrame | None
    name: str
    fingerprint: str
    location: str | None = None


@runtime_checkable
class Source(Protocol):
    """A source of interactions: a public data set, or a folder of your own tables."""

    def tables(self) -> Tables:
        """Return the checked tables as lazy frames. Missing files are downloaded first if the source can do so.

        Raises:
            DataError: a table is missing or malformed.
        """
        ...


@dataclass(frozen=True)
class SlateTables:
    """The canonical tables of one source of slates, checked, as lazy frames.

    Args:
        impressions: one row a shown slate, with `request_id`, `user_id`, `timestamp`, `slate`, `clicks` and any other
            columns of `recsys.data.tables.canonical.IMPRESSIONS`.
        name: name of the data in reports.
        fingerprint: text that changes whenever the content of the tables changes.
        items: one row an item, with `item_id` and any features; None if the source has no such table.
        users: one row a user, with `user_id` and any features; None if the source has no such table.
        group: column of `items` that assigns each item to a group. Its values are strings, integers, or lists, of
            which each distinct list is one group. None if items have no groups.
        timed: whether `timestamp` is a time; False if it only orders the impressions of a user.
        displayed: whether `slate` is in the order of display; False if that order was not recorded. Positions then
            identify slots and have no other meaning.
        dropped: number of rows or slots that the source holds and the tables leave out, by reason.
        feedback: the columns of `impressions` that hold further feedback, with their kinds: one number a slate, or a
            list of one number a slot.
        histories: one row a user, with `user_id` and `items`, a list of what the user took before the first slate,
            oldest first; None if the source has no such table.
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
    feedback: Mapping[str, ChannelKind] = field(default_factory=dict)
    histories: pl.LazyFrame | None = None


@runtime_checkable
class SlateSource(Protocol):
    """A source of logged slates: a public data set, or a folder of your own tables."""

    def slates(self) -> SlateTables:
        """Return the checked tables as lazy frames.

        Raises:
            DataError: a file is missing or malformed.
        """
        ...
