"""Read KuaiRand: videos shown by a short-video application (Kuaishou), as slates or as a log of random exposures.

Source: Gao et al. 2022, "KuaiRand: an unbiased sequential recommendation dataset with randomly exposed videos", and
github.com/chongminggao/KuaiRand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl
from typing_extensions import override

from recsys.data.logs.actions import ActionLog, action_log
from recsys.data.sources.folder import content_fingerprint, table_fingerprint
from recsys.data.sources.kuairand_layout import (
    EXPOSURES,
    FEEDBACK,
    HISTORIES,
    HOME,
    VIDEOS,
    WITHOUT_NULLS,
    OfficialColumn,
    exposure_files,
)
from recsys.data.sources.source import SlateSource, SlateTables
from recsys.data.tables import scan
from recsys.data.tables.exposures import slates_of_exposures
from recsys.data.tables.feedback import feedback_rules, with_feedback
from recsys.data.tables.row_checks import check_rows, row_finder
from recsys.data.tables.schema import ColumnKind, read_table
from recsys.data.tables.tensors import distinct_ids
from recsys.errors import ConfigurationError, DataError
from recsys.ranges import at_least
from recsys.types.feedback import ChannelKind


@dataclass(frozen=True)
class KuaiRand(SlateSource):
    """KuaiRand exposures as canonical tables. The videos that a user was shown in one millisecond are one slate.

    Every kind of feedback of the release that the table has is read (`FEEDBACK`). Times of watching become seconds.

    Most slates of KuaiRand-Pure hold one video, because that release keeps only some of the videos. The order within a
    slate was not recorded: slots are sorted by id, and `SlateTables.displayed` is False. A video that occurs several
    times in a slate gets one slot, with the largest value of each kind of feedback. The other rows are counted as
    dropped.

    Args:
        exposures: a folder with the official `log_standard_*.csv`, one such file, or a Parquet table with the same
            columns. `log_random_*.csv`, which holds videos shown at random, is read only if it is named.
        videos: `video_features_basic_*.csv`, a Parquet table with the same columns, or None.
        histories: a table with the videos that each user watched before the log, oldest first (`user_id`, `watch_seq`),
            or None. Its videos join the catalogue.
        group: column of `videos` that assigns each video to a group, such as `tag`; it has no effect without `videos`.
        click: column of the release that counts as a click; its values are 0 and 1.
    """

    exposures: str | Path
    videos: str | Path | None = None
    histories: str | Path | None = None
    group: str | None = None
    click: str = "is_click"

    @override
    def slates(self) -> SlateTables:
        """Return impressions with their feedback and, if their tables are given, the videos and the histories."""
        places = exposure_files(self.exposures, "log_standard_*.csv")
        present = read_table(places[0], EXPOSURES, values=False).collect_schema()
        columns = {name: one for name, one in FEEDBACK.items() if name in present}
        columns.setdefault(self.click, FEEDBACK.get(self.click, OfficialColumn(self.click, ChannelKind.BINARY)))
        click = columns[self.click]
        if click.kind is not ChannelKind.BINARY:
            raise ConfigurationError(f"click: {self.click!r} holds {click.kind.value}, expected a column of 0 and 1")
        kinds = {name: one.kind for name, one in columns.items()}
        parts = []
        for place in places:
            part = read_table(place, with_feedback(EXPOSURES, kinds, ColumnKind.NUMBER))
            check_rows(part, feedback_rules(kinds, present), partial(scan.first_row, place))
            parts.append(part)
        marks = [table_fingerprint(place, part) for place, part in zip(places, parts, strict=True)]
        shown = pl.concat([part.select("user_id", "video_id", "time_ms", *columns) for part in parts]).collect()
        channels = {one.channel: one.kind for one in columns.values()}
        impressions = _slates(shown, columns, click.channel)
        items = None
        if self.videos is not None:
            items = read_table(self.videos, VIDEOS)
            marks.append(table_fingerprint(str(self.videos), items))
            items = items.rename({"video_id": "item_id"})
            if self.group is not None and self.group not in items.collect_schema():
                raise DataError(f"{self.videos}: no column {self.group!r} to group videos by. Name another column")
        histories = None
        if self.histories is not None:
            histories = read_table(self.histories, HISTORIES)
            check_rows(histories, [WITHOUT_NULLS], partial(scan.first_row, str(self.histories)))
            marks.append(table_fingerprint(str(self.histories), histories))
            histories = histories.select("user_id", pl.col("watch_seq").alias("items"))
        slots = int(impressions.get_column("slate").list.len().sum())
        return SlateTables(
            impressions=impressions.lazy(),
            name="kuairand",
            fingerprint=content_fingerprint(*marks, self.click),
            items=items,
            group=None if items is None else self.group,
            displayed=False,
            dropped={"repeated_exposures": len(shown) - slots},
            feedback=channels,
            histories=histories,
        )


def _slates(shown: pl.DataFrame, columns: Mapping[str, OfficialColumn], click: str) -> pl.DataFrame:
    """Return one slate for each user and millisecond.

    >>> shown = {"user_id": [7, 7, 7], "video_id": [5, 4, 4], "time_ms": [10, 10, 10], "is_click": [0, 0, 1]}
    >>> columns = {"is_click": OfficialColumn("click", ChannelKind.BINARY)}
    >>> _slates(pl.DataFrame(shown), columns, "click").drop("click").row(0)  # the time, both slots, the first clicked
    ('7-10', 7, datetime.datetime(1970, 1, 1, 0, 0, 0, 10000), [4, 5], [0])
    """
    slot = ("user_id", "time_ms", "video_id")
    values = [(pl.col(name).max() / one.divisor).alias(one.channel) for name, one in columns.items()]
    rows = shown.group_by(slot).agg(values)
    rows = rows.select(
        pl.format("{}-{}", "user_id", "time_ms").alias("request_id"),
        "user_id",
        pl.from_epoch("time_ms", time_unit="ms").alias("timestamp"),
        pl.col("video_id").alias("item_id"),
        *(one.channel for one in columns.values()),
    )
    return slates_of_exposures(rows, {one.channel: one.kind for one in columns.values()}, click)


@dataclass(frozen=True)
class KuaiRandFolder(SlateSource):
    """The KuaiRand of a folder: as released, or as Parquet tables `exposures`, `items` and `histories`.

    Of the release, `log_standard_*.csv` and `video_features_basic_*.csv` are read. A table of videos and one of
    histories may be missing.

    Args:
        root: the folder.
        group: see `KuaiRand`.
        click: see `KuaiRand`.
    """

    root: str | Path
    group: str | None = None
    click: str = "is_click"

    @override
    def slates(self) -> SlateTables:
        """Return what `KuaiRand` reads.

        Raises:
            DataError: there is no such folder, or a file is malformed.
        """
        folder = Path(self.root)
        if not folder.is_dir():
            raise DataError(f"{self.root}: no such folder; expected KuaiRand. Download it from {HOME}")
        exposures, items, histories = (folder / f"{name}.parquet" for name in ("exposures", "items", "histories"))
        features = next(iter(sorted(folder.rglob("video_features_basic_*.csv"))), None)
        return KuaiRand(
            exposures=exposures if exposures.exists() else folder,
            videos=items if items.exists() else features,
            histories=histories if histories.exists() else None,
            group=self.group,
            click=self.click,
        ).slates()


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

    def __post_init__(self) -> None:
        at_least(1, pool=self.pool)

    def log(self) -> ActionLog:
        """Return the checked log.

        Raises:
            DataError: a file is missing or malformed.
            ConfigurationError: the log has more videos than `pool`.
        """
        places = exposure_files(self.exposures, "log_random_*.csv")
        schema = with_feedback(EXPOSURES, {self.reward: ChannelKind.NUMBER}, ColumnKind.NUMBER)
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
