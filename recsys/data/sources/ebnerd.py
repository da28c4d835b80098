"""Read EB-NeRD: news of a Danish daily, shown on its front page and under articles (JP/Politikens Hus).

Source: Kruse et al. 2024, "EB-NeRD: a large-scale dataset for news recommendation", and recsys.eb.dk.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
from typing_extensions import override

from recsys.data.sources.folder import table_fingerprint
from recsys.data.sources.source import SlateSource, SlateTables
from recsys.data.tables import scan
from recsys.data.tables.impressions import check_impressions
from recsys.data.tables.row_checks import row_finder
from recsys.data.tables.schema import ColumnKind, TableColumn, TableSchema, read_table
from recsys.errors import DataError

BEHAVIORS = TableSchema(
    "behaviors",
    (
        TableColumn("impression_id", ColumnKind.ID, required=True),
        TableColumn("user_id", ColumnKind.ID, required=True),
        TableColumn("impression_time", ColumnKind.TIME, required=True),
        TableColumn("article_ids_inview", ColumnKind.IDS, required=True),
        TableColumn("article_ids_clicked", ColumnKind.IDS, required=True),
    ),
    key="impression_id",
)
"""The columns that are read. The hidden test set of the release lacks `article_ids_clicked`."""

ARTICLES = TableSchema("articles", (TableColumn("article_id", ColumnKind.ID, required=True),), key="article_id")

HOME = "recsys.eb.dk"

FILES = ("behaviors.parquet", "impressions.parquet")


@dataclass(frozen=True)
class EbNerd(SlateSource):
    """EB-NeRD impressions as canonical tables.

    The release shuffled `article_ids_inview`, so `SlateTables.displayed` is False. Clicks are listed in the order of
    `article_ids_clicked`.

    Args:
        root: the file, such as `ebnerd_small/train/behaviors.parquet`, or its folder, where the file may also be called
            `impressions.parquet`.
        articles: `articles.parquet`, or None.
        group: column of `articles` that assigns each article to a group, such as `category_str`; it has no effect
            without `articles`.
    """

    root: str | Path
    articles: str | Path | None = None
    group: str | None = None

    @override
    def slates(self) -> SlateTables:
        """Return impressions and, if `articles` is given, the articles as items."""
        location = self._file()
        if not (scan.is_remote(location) or Path(location).is_file()):
            raise DataError(f"{location}: no such file; expected behaviors.parquet of EB-NeRD. Download it from {HOME}")
        behaviors = read_table(location, BEHAVIORS)
        with scan.polars_errors(location):
            impressions = _impressions(behaviors.collect(), location)
        check_impressions(impressions, row_finder(impressions, location))
        items, fingerprint = None, table_fingerprint(location, behaviors)
        if self.articles is not None:
            items = read_table(self.articles, ARTICLES)
            fingerprint += table_fingerprint(str(self.articles), items)
            items = items.rename({"article_id": "item_id"})
            if self.group is not None and self.group not in items.collect_schema():
                raise DataError(f"{self.articles}: no column {self.group!r} to group articles by. Name another column")
        group = None if items is None else self.group
        return SlateTables(impressions, "ebnerd", fingerprint, items, group=group, displayed=False)

    def _file(self) -> str:
        """Return `root` if it is no folder, else the first of `FILES` that it has, else the first of `FILES`."""
        folder = Path(self.root)
        if scan.is_remote(str(self.root)) or not folder.is_dir():
            return str(self.root)
        return str(next((folder / name for name in FILES if (folder / name).is_file()), folder / FILES[0]))


def _impressions(behaviors: pl.DataFrame, location: str) -> pl.LazyFrame:
    """Return the rows in order; clicks become positions of the slate."""
    rows = behaviors.select(
        pl.col("impression_id").alias("request_id"),
        "user_id",
        pl.col("impression_time").alias("timestamp"),
        pl.col("article_ids_inview").alias("slate"),
        pl.col("article_ids_clicked").alias("clicked"),
    ).with_row_index("row")
    shown = rows.select("row", item="slate", position=pl.int_ranges(pl.col("slate").list.len())).explode(
        "item", "position"
    )
    clicked = rows.select("row", item="clicked").explode("item").drop_nulls()
    found = clicked.join(shown, on=["row", "item"], how="left", maintain_order="left")
    lost = found.filter(pl.col("position").is_null())
    if len(lost):
        raise DataError(
            f"{location}, row {lost.item(0, 'row')} (from 0), column 'article_ids_clicked': article"
            f" {lost.item(0, 'item')} is not in article_ids_inview. Drop the row"
        )
    clicks = found.group_by("row", maintain_order=True).agg(clicks="position")
    none = pl.lit([], dtype=pl.List(pl.Int64))
    return (
        rows.join(clicks, on="row", how="left", maintain_order="left")
        .select("request_id", "user_id", "timestamp", "slate", pl.col("clicks").fill_null(none))
        .lazy()
    )
