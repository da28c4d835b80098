"""KuaiRand's videos shown at random, as a log whose propensities are known by design.

Source: Gao et al. 2022, "KuaiRand: an unbiased sequential recommendation dataset with randomly exposed videos", and
github.com/chongminggao/KuaiRand.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recsys.data.action_log import ActionLog
from recsys.data.action_rules import action_log
from recsys.data.kuairand import exposure_files, exposure_schema
from recsys.data.parquet import mark
from recsys.data.raw_ids import distinct
from recsys.data.rules import finder
from recsys.data.schema import Kind, read_table
from recsys.errors import ConfigurationError


@dataclass(frozen=True)
class KuaiRandRandom:
    """Random exposures of KuaiRand: an ordinary recommendation replaced by a video drawn uniformly from a fixed pool.

    A round is one exposure, its action the video, its propensity one over the size of the pool.

    Args:
        exposures: a folder with the official `log_random_*.csv`, one such file, or a Parquet table with its columns.
        reward: column of feedback that is the reward, such as `is_click`, `long_view` or `play_time_ms`.
        pool: number of videos in the pool; None counts those that come up, which is a little less where the log is
            short. The pool of KuaiRand-Pure has 7,583.
        exclude: leave out rows at fault and count them, instead of refusing the log.
    """

    exposures: str | Path
    reward: str = "is_click"
    pool: int | None = None
    exclude: bool = False

    def log(self) -> ActionLog:
        """The log, checked."""
        places = exposure_files(self.exposures, "log_random_*.csv")
        schema = exposure_schema(self.reward, Kind.NUMBER)
        tables = [read_table(place, schema) for place in places]
        marks = [mark(place, table) for place, table in zip(places, tables, strict=True)]
        rows = pl.concat([table.select(column.name for column in schema.columns) for table in tables])
        seen = len(distinct(rows, pl.col("video_id")))
        if self.pool is not None and self.pool < seen:
            raise ConfigurationError(f"{self.exposures}: {seen:,} videos come up, so the pool is not {self.pool:,}")
        parts = [self._canonical(table, self.pool or seen) for table in tables]

        def find(broken: pl.Expr, column: str) -> tuple[str, int, object]:
            """See `Find`."""
            for place, part in zip(places, parts, strict=True):
                if part.select(broken.any()).collect().item():
                    return finder(part, place)(broken, column)
            raise AssertionError("a row that was at fault is no more")

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
