"""Read MIND: news shown on the pages of Microsoft News.

Source: Wu et al. 2020, "MIND: a large-scale dataset for news recommendation", and msnews.github.io.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from typing_extensions import override

from recsys.data.sources.source import SlateSource, SlateTables
from recsys.data.tables.download import sha256
from recsys.data.tables.impressions import check_impressions
from recsys.data.tables.row_checks import row_finder
from recsys.data.tables.scan import polars_errors
from recsys.data.tables.schema import check_key
from recsys.errors import DataError

HOME = "msnews.github.io"

BEHAVIORS = ("request_id", "user_id", "timestamp", "history", "shown")
NEWS = ("item_id", "category", "subcategory", "title", "text", "url", "title_entities", "abstract_entities")

TIME = "%m/%d/%Y %I:%M:%S %p"

EXPECTED = {
    "request_id": "a whole number",
    "user_id": "a user's id",
    "timestamp": "a time such as 11/15/2019 8:55:22 AM",
    "shown": "news with 1 where it was clicked and 0 where not, such as N1-0 N2-1 (the test set lacks them)",
}


@dataclass(frozen=True)
class Mind(SlateSource):
    """MIND impressions as canonical tables.

    The release shuffled each slate, so `SlateTables.displayed` is False. Clicks are listed by ascending position. The
    column `history`, the earlier clicks of a user, is not read.

    Args:
        root: folder of one part of the release, with `behaviors.tsv` and, for titles and groups, `news.tsv`.
        group: `category`, `subcategory` or None; it has no effect without `news.tsv`.
    """

    root: str | Path
    group: str | None = "category"

    @override
    def slates(self) -> SlateTables:
        """Return impressions and, if `news.tsv` exists, items with `title`, `text` (the abstract) and `category`."""
        behaviors, news = (Path(self.root) / name for name in ("behaviors.tsv", "news.tsv"))
        if not behaviors.exists():
            raise DataError(f"{behaviors}: no such file; expected a part of MIND. Download it from {HOME}")
        impressions = _impressions(behaviors)
        check_key(impressions, "request_id", impressions.select(pl.len()).collect().item(), str(behaviors))
        check_impressions(impressions, row_finder(impressions, str(behaviors)))
        files, items = [behaviors], None
        if news.exists():
            files.append(news)
            items = _tabs(news, NEWS).select("item_id", "title", "text", "category", "subcategory").lazy()
        if items is not None and self.group not in (None, "category", "subcategory"):
            raise DataError(f"{news}: no column {self.group!r} to group news by; expected category or subcategory")
        return SlateTables(
            impressions=impressions,
            name="mind",
            fingerprint=hashlib.sha256("".join(sha256(file) for file in files).encode()).hexdigest(),
            items=items,
            group=None if items is None else self.group,
            displayed=False,
        )


def _tabs(file: Path, columns: tuple[str, ...]) -> pl.DataFrame:
    with polars_errors(str(file)):
        return pl.read_csv(
            file,
            separator="\t",
            has_header=False,
            quote_char=None,
            schema=dict.fromkeys(columns, pl.String),
            glob=False,
        )


def _impressions(file: Path) -> pl.LazyFrame:
    """Return the rows in order; raise an error at the first value that `EXPECTED` does not allow."""
    raw = _tabs(file, BEHAVIORS)
    shown = pl.col("shown").str.strip_chars().str.split(" ")
    labelled = shown.list.eval(pl.element().str.contains(r"^.+-[01]$")).list.all()
    rows = raw.select(
        pl.col("request_id").cast(pl.Int64, strict=False),
        "user_id",
        pl.col("timestamp").str.to_datetime(TIME, strict=False, time_unit="us"),
        pl.when(labelled).then(shown).alias("shown"),
    )
    for column, expected in EXPECTED.items():
        bad = rows.get_column(column).is_null().arg_true()
        if len(bad):
            raise DataError(
                f"{file}, row {bad[0]} (from 0), column {column!r}: {raw.item(bad[0], column)!r}, expected {expected}."
                " Correct the row or drop it"
            )
    return rows.select(
        "request_id",
        "user_id",
        "timestamp",
        pl.col("shown").list.eval(pl.element().str.head(-2)).alias("slate"),
        pl.col("shown").list.eval(pl.element().str.ends_with("-1").arg_true()).cast(pl.List(pl.Int64)).alias("clicks"),
    ).lazy()
