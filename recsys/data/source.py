"""Where logs come from: anything that can name its canonical tables."""

from __future__ import annotations

from dataclasses import dataclass
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
