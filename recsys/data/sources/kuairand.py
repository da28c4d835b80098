"""Read KuaiRand: videos shown by a short-video application (Kuaishou), as slates or as a log of random exposures.

Source: Gao et al. 2022, "KuaiRand: an unbiased sequential recommendation dataset with randomly exposed videos", and
github.com/chongminggao/KuaiRand.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from typing_extensions import override

from recsys.data.logs.actions import ActionLog, action_log
from recsys.data.sources.parquet import table_fingerprint
from recsys.data.sources.source import SlateSource, SlateTables
from recsys.data.tables import scan
from recsys.data.tables.row_checks import row_finder
from recsys.data.tables.schema import ColumnKind, TableColumn, TableSchema, read_table
from recsys.data.tables.tensors import distinct_ids
from recsys.errors import ConfigurationError, DataError

VIDEOS = TableSchema("videos", (TableColumn("video_id", ColumnKind.ID, required=True),), key="video_id")

HOME = "github.com/chongminggao/KuaiRand"


@dataclass(frozen=True)
class KuaiRand(SlateSource):
    """KuaiRand exposures as canonical tables. The videos that a user was shown in one millisecond are one slate.

    Most slates of KuaiRand-Pure hold one video, because that release keeps only some of the videos. The order within a
    slate was not recorded: slots are sorted by id, and `SlateTables.displayed` is False. A video that occurs several
    times in a slate gets one slot, which is clicked if any of its rows is. The other rows are counted as dropped.

    Args:
        exposures: a folder with the official `log_standard_*.csv`, one such file, or a Parquet table with the same
            columns. `log_random_*.csv`, which holds videos shown at random, is read only if it is named.
        videos: `video_features_basic_*.csv`, a Parquet table with the same columns, or None.
        group: column of `videos` that assigns each video to a group, such as `tag`; it has no effect without `videos`.
        click: column of feedback that counts as a click; its values are 0 and 1.
    """

    exposures: str | Path
    videos: str | Path | None = None
    group: str | None = None
    click: str = "is_click"

    @override
    def slates(self) -> SlateTables:
        """Return impressions and, if `videos` is given, the videos as items."""
        places = exposure_files(self.exposures, "log_standard_*.csv")
        parts = [read_table(place, exposure_schema(self.click, ColumnKind.INTEGER)) for place in places]
        marks = [table_fingerprint(place, part) for place, part in zip(places, parts, strict=True)]
        shown = pl.concat([part.select("user_id", "video_id", "time_ms", self.click) for part in parts]).collect()
        other = ~pl.col(self.click).cast(pl.Int64).is_in((0, 1))
        for place, part in zip(places, parts, strict=True):
            if part.select(other.any()).collect().item():
                file, row, value = scan.first_row(place, other, self.click)
                raise DataError(
                    f"{file}, row {row} (from 0), column {self.click!r}: {value}, expected 0 or 1. Name another column"
                )
        impressions = _slates(shown, self.click)
        items = None
        if self.videos is not None:
            items = read_table(self.videos, VIDEOS)
            marks.append(table_fingerprint(str(self.videos), items))
            items = items.rename({"video_id": "item_id"})
            if self.group is not None and self.group not in items.collect_schema():
                raise DataError(f"{self.videos}: no column {self.group!r} to group videos by. Name another column")
        slots = int(impressions.get_column("slate").list.len().sum())
        return SlateTables(
            impressions=impressions.lazy(),
            name="kuairand",
            fingerprint=hashlib.sha256("\n".join(marks).encode()).hexdigest(),
            items=items,
            group=None if items is None else self.group,
            displayed=False,
            dropped={"repeated_exposures": len(shown) - slots},
        )


def exposure_schema(feedback: str, kind: ColumnKind) -> TableSchema:
    """Return the schema of a table of exposures.

    Args:
        feedback: column of feedback that the table must have.
        kind: what that column holds.
    """
    ids = (TableColumn(name, ColumnKind.ID, required=True) for name in ("user_id", "video_id"))
    return TableSchema(
        "exposures", (*ids, TableColumn("time_ms", ColumnKind.INTEGER, True), TableColumn(feedback, kind, True))
    )


def exposure_files(location: str | Path, pattern: str) -> list[str]:
    """Return the files of exposures at a location.

    Args:
        location: a folder, of which the files that match the pattern are taken; or one file or Parquet table.
        pattern: glob pattern of file names.

    Raises:
        DataError: there is no such file.
    """
    path = Path(location)
    if scan.is_remote(str(location)) or path.is_file():
        return [str(location)]
    if not path.exists():
        raise DataError(f"{location}: no such table; expected the exposures of KuaiRand. Download them from {HOME}")
    found = sorted(str(file) for file in path.glob(pattern))
    if not found and not any(path.rglob("*.parquet")):
        raise DataError(f"{location}: no {pattern} in it; expected the exposures of KuaiRand. See {HOME}")
    return found or [str(location)]


def _slates(shown: pl.DataFrame, click: str) -> pl.DataFrame:
    """Return one slate for each user and millisecond.

    >>> shown = {"user_id": [7, 7, 7], "video_id": [5, 4, 4], "time_ms": [10, 10, 10], "is_click": [0, 0, 1]}
    >>> _slates(pl.DataFrame(shown), "is_click").row(0)  # the time in milliseconds, both slots, the first clicked
    ('7-10', 7, datetime.datetime(1970, 1, 1, 0, 0, 0, 10000), [4, 5], [0])
    """
    slot = ("user_id", "time_ms", "video_id")
    slots = shown.group_by(slot).agg(pl.col(click).max()).sort(slot)
    clicked = pl.int_range(pl.len(), dtype=pl.Int64).filter(pl.col(click) == 1)
    slates = slots.group_by("user_id", "time_ms", maintain_order=True).agg(slate="video_id", clicks=clicked)
    return slates.select(
        pl.format("{}-{}", "user_id", "time_ms").alias("request_id"),
        "user_id",
        pl.from_epoch("time_ms", time_unit="ms").alias("timestamp"),
        "slate",
        "clicks",
    )


@dataclass(frozen=True)
class KuaiRandRandom:
    """The random exposures of KuaiRand: an ordinary recommendation was replaced by a uniformly drawn video of a pool.

    A round is one exposure. Its action is the video; its propensity is 1 / the size of the pool.

    Args:
        exposures: a folder with the official `log_random_*.csv`, one such file, or a Parquet table with its columns.
        reward: column of feedback that is the reward, such as `is_click`, `long_view` or `play_time_ms`.
        pool: number of videos in the pool. None counts the videos in the log, which are a few less if the log is short.
            The pool of KuaiRand-Pure has 7,583 videos.
        exclude: True leaves out bad rows and counts them; False raises an error at the first one.
    """

    exposures: str | Path
    reward: str = "is_click"
    pool: int | None = None
    exclude: bool = False

    def log(self) -> ActionLog:
        """Return the checked log.

        Raises:
            DataError: a file is missing or malformed.
            ConfigurationError: the log has more videos than `pool`.
        """
        places = exposure_files(self.exposures, "log_random_*.csv")
        schema = exposure_schema(self.reward, ColumnKind.NUMBER)
        tables = [read_table(place, schema) for place in places]
        marks = [table_fingerprint(place, table) for place, table in zip(places, tables, strict=True)]
        rows = pl.concat([table.select(column.name for column in schema.columns) for table in tables])
        seen = len(distinct_ids(rows, pl.col("video_id")))
        if self.pool is not None and self.pool < seen:
            raise ConfigurationError(f"{self.exposures}: the log has {seen:,} videos, more than pool={self.pool}")
        parts = [self._canonical(table, self.pool or seen) for table in tables]

        def find(broken: pl.Expr, column: str) -> tuple[str, int, object]:
            for place, part in zip(places, parts, strict=True):
                if part.select(broken.any()).collect().item():
                    return row_finder(part, place)(broken, column)
            raise AssertionError("no part has the bad row any more")

        return action_log(
            pl.concat(parts),
            find,
            name="kuairand_random",
            fingerprint=hashlib.sha256("\n".join([*marks, self.reward, str(self.pool)]).encode()).hexdigest(),
            excluding=self.exclude,
            left_out={"pool": self.pool or seen},
        )

    def _canonical(self, table: pl.LazyFrame, pool: int) -> pl.LazyFrame:
        return table.select(
            pl.col("video_id").alias("action"),
            pl.col(self.reward).alias("reward"),
            pl.lit(1 / pool).alias("propensity"),
            "user_id",
            pl.from_epoch("time_ms", time_unit="ms").alias("timestamp"),
        )
