"""Join what a user was shown one after the other to sessions, slates of several items, from any source of slates."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import polars as pl
from typing_extensions import override

from recsys.data.sources.source import SlateSource, SlateTables
from recsys.errors import DataError
from recsys.ranges import above, at_least

CLICKED = "__clicked"
PLACE = "__place"
WINDOW = "__window"
SHORT, REPEATED = "short_sessions", "sessions_with_a_repeat"
"""Names of the counts of windows that are left out."""


@dataclass(frozen=True)
class Sessions(SlateSource):
    """Sessions of `slots` items: windows over what each user was shown, in the order of time.

    The slots of all slates of a user are put in a row by time, then by their order in the slate. A pause above `gap`
    ends a session; each part between pauses is cut into windows of `slots` items from its beginning on. A window that
    is too short, or holds an item twice, is left out and counted (`short_sessions`, `sessions_with_a_repeat`).
    Windows do not overlap.

    The time of a session is that of its last item. A session that a split by time trains on is therefore over before
    the cut, and the history of a session holds earlier sessions only.

    Feedback of slots stays with the slots; feedback of whole slates and propensities are left out, since a session is
    not a slate of the log.

    Args:
        source: slates or single exposures.
        slots: `m`, items of a session, at least 1; 5 in OneRec (arXiv 2502.18965), §4.1.
        gap: longest pause within a session, seconds, above 0; None joins items whatever the pause.

    Raises:
        ConfigurationError: `slots` or `gap` is out of range.
    """

    source: SlateSource
    slots: int = 5
    gap: float | None = None

    def __post_init__(self) -> None:
        at_least(1, slots=self.slots)
        if self.gap is not None:
            above(0, gap=self.gap)

    @override
    def slates(self) -> SlateTables:
        """Return the sessions.

        Raises:
            DataError: the source is malformed or has no session, or has no times and `gap` is given.
        """
        tables = self.source.slates()
        if self.gap is not None and not tables.timed:
            raise DataError(f"{tables.name} has the order of a user's slates and no times: set data.source.gap=null")
        schema = tables.impressions.collect_schema()
        by_slot = {name: kind for name, kind in tables.feedback.items() if isinstance(schema[name], pl.List)}
        shown = _exposures(tables.impressions, list(by_slot))
        sessions, dropped = self._windows(shown, list(by_slot))
        if not len(sessions):
            raise DataError(
                f"{tables.name}: no user was shown {self.slots} different items in a row"
                f"{'' if self.gap is None else f' without a pause of {self.gap:g} s'}; of {sum(dropped.values()):,} "
                f"windows over {len(shown):,} exposures {dropped[SHORT]:,} are shorter and {dropped[REPEATED]:,} hold "
                f"an item twice. Lower slots{'' if self.gap is None else ', or raise data.source.gap'}"
            )
        text = f"{tables.fingerprint}/sessions/{self.slots}/{self.gap}"
        return replace(
            tables,
            impressions=sessions.lazy(),
            fingerprint=hashlib.sha256(text.encode()).hexdigest(),
            dropped={**tables.dropped, **dropped},
            feedback=by_slot,
            displayed=True,
        )

    def _windows(self, shown: pl.DataFrame, channels: list[str]) -> tuple[pl.DataFrame, dict[str, int]]:
        time = pl.col("timestamp")
        pause = time.diff().over("user_id")
        if isinstance(shown.schema["timestamp"], pl.Datetime):
            pause = pause.dt.total_milliseconds() / 1000
        breaks = pl.lit(0) if self.gap is None else (pause > self.gap).fill_null(False).cum_sum().over("user_id")
        rows = shown.with_columns(breaks.alias(WINDOW))
        place = pl.int_range(pl.len()).over("user_id", WINDOW)
        rows = rows.with_columns(place.alias(PLACE)).with_columns((pl.col(PLACE) // self.slots).alias("__part"))
        windows = rows.group_by("user_id", WINDOW, "__part", maintain_order=True).agg(
            time.last(),
            pl.col("item_id").alias("slate"),
            pl.int_range(pl.len(), dtype=pl.Int64).filter(pl.col(CLICKED)).alias("clicks"),
            *channels,
        )
        whole = windows.filter(pl.col("slate").list.len() == self.slots)
        kept = whole.filter(pl.col("slate").list.n_unique() == self.slots)
        number = pl.int_range(pl.len()).over("user_id")
        sessions = kept.select(
            pl.format("{}-{}", "user_id", number).alias("request_id"),
            "user_id",
            "timestamp",
            "slate",
            "clicks",
            *channels,
        )
        return sessions, {
            SHORT: len(windows) - len(whole),
            REPEATED: len(whole) - len(kept),
        }


def _exposures(impressions: pl.LazyFrame, channels: list[str]) -> pl.DataFrame:
    """Return one row a shown item, by user, time and place in the slate, with its feedback and a click."""
    places = pl.int_ranges(pl.col("slate").list.len(), dtype=pl.Int64)
    rows = impressions.with_columns(places.alias(PLACE)).collect()
    row = rows.select(
        "request_id", "user_id", "timestamp", pl.col("slate").alias("item_id"), PLACE, "clicks", *channels
    )
    flat = row.explode("item_id", PLACE, *channels)
    clicked = pl.col(PLACE).is_in(pl.col("clicks"))
    return flat.with_columns(clicked.alias(CLICKED)).sort("user_id", "timestamp", "request_id", PLACE)
