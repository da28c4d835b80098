"""Select the interactions that count as positive: by rating and by kind of event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from recsys.errors import ConfigurationError, DataError

OPTIONS = {"rating": "min_rating", "event": "events", "weight": "weights"}
"""The option that reads each column of `interactions` which says what an event is worth."""


@dataclass(frozen=True)
class Selection:
    """The interactions to learn from. Every kept event is one positive of the same worth.

    Args:
        min_rating: least `rating` of a kept event; None keeps all and does not read the column.
        events: values of `event` that are kept, such as `("purchase",)`; None keeps all and does not read the column.
        weights: must be False, since no training weighs events.

    Raises:
        ConfigurationError: `weights` is True, or `events` is empty.
    """

    min_rating: float | None = None
    events: Sequence[str] | None = None
    weights: bool = False

    def __post_init__(self) -> None:
        if self.weights:
            raise ConfigurationError(
                "data.weights=true: no training weighs events, each counts once. Set it to false, and drop rows of"
                " small weight from the table, or select them by data.min_rating or data.events"
            )
        if self.events is not None:
            if isinstance(self.events, str) or not len(self.events):
                raise ConfigurationError(
                    f"data.events={self.events!r}: expected a list of kinds of events to keep, such as [purchase]; null"
                    " keeps all"
                )
            object.__setattr__(self, "events", tuple(map(str, self.events)))

    def __call__(self, interactions: pl.LazyFrame) -> tuple[pl.LazyFrame, dict[str, int]]:
        """Return the kept interactions, and counts of what was dropped and of columns that are not read.

        A row without a rating is below any `min_rating`, and a row without an event is of no kind.

        Returns:
            The rows. `below_min_rating` and `other_events`: numbers of dropped rows; a row counts for the first that
            drops it. `unread_rating`, `unread_event` and `unread_weight`: 1 for a column that exists and is not read.

        Raises:
            DataError: a column that an option reads is missing, a kind of `events` does not occur, or no row is left.

        >>> log = pl.LazyFrame({"rating": [5.0, 1.0, None], "event": ["view", "view", "buy"]})
        >>> rows, counts = Selection(min_rating=4)(log)
        >>> rows.collect().rows(), counts
        ([(5.0, 'view')], {'below_min_rating': 2, 'unread_event': 1})
        """
        present = interactions.collect_schema()
        for column, option in OPTIONS.items():
            if getattr(self, option) is not None and option != "weights" and column not in present:
                raise DataError(
                    f"data.{option}={self._shown(option)}: interactions have no column {column!r}; found"
                    f" {', '.join(present)}. Set it to null, or add the column"
                )
        dropped = {}
        if self.min_rating is not None:
            rating = pl.col("rating").cast(pl.Float64)
            dropped["below_min_rating"] = ~((rating >= self.min_rating) & ~rating.is_nan()).fill_null(False)
        if self.events is not None:
            self._check_kinds(interactions)
            dropped["other_events"] = ~pl.col("event").cast(pl.String).is_in(list(self.events)).fill_null(False)
        counts, kept = {}, pl.lit(True)
        for name, mask in dropped.items():
            counts[name] = (kept & mask).sum()
            kept = kept & ~mask
        found = interactions.select(pl.len().alias("rows"), **counts).collect(engine="streaming").row(0, named=True)
        rows = found.pop("rows")
        if dropped and sum(found.values()) == rows:
            rules = " and ".join(f"data.{option}={self._shown(option)}" for option in ("min_rating", "events"))
            raise DataError(f"{rules} leave none of {rows:,} interactions. Lower the one, or name other kinds")
        unread = [name for name, option in OPTIONS.items() if name in present and not getattr(self, option)]
        unread = [name for name in unread if not (name == "rating" and self.min_rating is not None)]
        counted = {name: int(count) for name, count in found.items()} | {f"unread_{name}": 1 for name in unread}
        return interactions.filter(kept) if dropped else interactions, counted

    def _shown(self, option: str) -> str:
        value = getattr(self, option)
        return "null" if value is None else f"[{','.join(value)}]" if isinstance(value, tuple) else str(value)

    def _check_kinds(self, interactions: pl.LazyFrame) -> None:
        kinds = interactions.select(pl.col("event").cast(pl.String).drop_nulls().unique()).collect().to_series()
        absent = [kind for kind in self.events or () if kind not in set(kinds)]
        if absent:
            raise DataError(
                f"data.events={self._shown('events')}: no interaction has event {absent[0]!r}; found"
                f" {', '.join(sorted(kinds)[:20]) or 'none'}. Name one of these"
            )
