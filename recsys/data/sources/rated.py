"""Read interactions with ratings as exposures: each rated item was shown, and liked if its rating is high enough."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from typing_extensions import override

from recsys.data.datasets import clean
from recsys.data.datasets.tie_breaking import event_hash
from recsys.data.sources.source import SlateSource, SlateTables, Source
from recsys.data.tables.row_checks import RowRule, check_rows, row_finder
from recsys.errors import ConfigurationError, DataError
from recsys.ranges import finite, within
from recsys.types.feedback import ChannelKind

LIKE = "like"


@dataclass(frozen=True)
class RatedExposures(SlateSource):
    """Slates of one item each, with the channels `click` (the item was liked), `like` (the same) and `rating`.

    An item is liked if its rating is at least `liked`. What was not rated was not shown: these data say nothing of it.
    Events of a user at one time stand in a pseudo-random order that differs between users (`TieByEvent`).

    Args:
        source: interactions with a column `rating`.
        liked: least rating of a liked item; 4 of 5 in MovieLens.
        scale: least and largest rating there can be; None takes every finite number.

    Raises:
        ConfigurationError: `liked` is not finite, or `scale` is not two numbers of which the second is larger and which
            `liked` lies between.
    """

    source: Source
    liked: float = 4.0
    scale: Sequence[float] | None = None

    def __post_init__(self) -> None:
        finite(liked=self.liked)
        if self.scale is None:
            return
        if len(self.scale) != 2 or not -float("inf") < self.scale[0] < self.scale[1] < float("inf"):
            raise ConfigurationError(f"scale={list(self.scale)}: expected the least and the largest rating, as [1, 5]")
        within(self.scale[0], self.scale[1], liked=self.liked)

    @override
    def slates(self) -> SlateTables:
        """Return the exposures.

        Raises:
            DataError: the interactions have no ratings or no times, a rating is outside the scale, or no item is liked.
        """
        tables = self.source.tables()
        present = tables.interactions.collect_schema()
        for name in ("rating", "timestamp"):
            if name not in present:
                raise DataError(f"{tables.name}: the interactions have no column {name!r}; rated sessions need it")
        check_rows(tables.interactions, [self._rule()], row_finder(tables.interactions, tables.location or tables.name))
        rows = tables.interactions.select("user_id", "item_id", "timestamp", "rating").collect()
        missing = int(rows.get_column("rating").is_null().sum())
        rows = rows.drop_nulls("rating").unique(["user_id", "item_id", "timestamp"], keep="first", maintain_order=True)
        if not (rows.get_column("rating") >= self.liked).any():
            raise DataError(
                f"{tables.name}: none of {len(rows):,} ratings is at least liked={self.liked:g}"
                f"{f', the largest is {best:g}' if (best := rows.get_column('rating').max()) is not None else ''}"
                f"; {missing:,} row(s) without a rating were left out. Lower dataset.liked"
            )
        users, items = (clean.encode_ids(rows.get_column(name))[0].to_numpy() for name in ("user_id", "item_id"))
        order = pl.Series("order", event_hash(users.astype(np.int64), items.astype(np.int64), 0))
        liked = pl.col("rating") >= self.liked
        impressions = rows.with_columns(order).select(
            pl.col("order").cast(pl.String).str.zfill(20).alias("request_id"),
            "user_id",
            "timestamp",
            pl.concat_list("item_id").alias("slate"),
            pl.when(liked)
            .then(pl.lit([0], dtype=pl.List(pl.Int64)))
            .otherwise(pl.lit([], dtype=pl.List(pl.Int64)))
            .alias("clicks"),
            pl.concat_list(liked.cast(pl.Float32)).alias(LIKE),
            pl.concat_list(pl.col("rating").cast(pl.Float32)).alias("rating"),
        )
        text = f"{tables.fingerprint}/rated/{self.liked}"
        return SlateTables(
            impressions=impressions.lazy(),
            name=tables.name,
            fingerprint=hashlib.sha256(text.encode()).hexdigest(),
            items=tables.items,
            users=tables.users,
            displayed=False,
            dropped={"without_rating": missing},
            feedback={LIKE: ChannelKind.BINARY, "rating": ChannelKind.RATING},
        )

    def _rule(self) -> RowRule:
        rating = pl.col("rating").cast(pl.Float64)
        if self.scale is None:
            return RowRule("rating", ~rating.is_finite(), "is no finite number, expected one or null. Correct it")
        least, largest = self.scale
        text = f"is outside the scale, expected {least:g} to {largest:g}, or null. Correct it, or set dataset.scale"
        return RowRule("rating", ~rating.is_between(least, largest), text)
