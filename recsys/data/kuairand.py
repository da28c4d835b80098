"""KuaiRand: videos shown by a short-video application, with a dozen kinds of feedback (Kuaishou).

Source: Gao et al. 2022, "KuaiRand: an unbiased sequential recommendation dataset with randomly exposed videos", and
github.com/chongminggao/KuaiRand.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recsys.data import scan
from recsys.data.parquet import mark
from recsys.data.schema import Column, Kind, Schema, read_table
from recsys.data.slate_source import SlateTables
from recsys.errors import DataError

VIDEOS = Schema("videos", (Column("video_id", Kind.ID, required=True),), key="video_id")

HOME = "github.com/chongminggao/KuaiRand"


@dataclass(frozen=True)
class KuaiRand:
    """KuaiRand exposures as canonical tables: what a user was shown in one millisecond is a slate.

    Most slates of KuaiRand-Pure hold one video, because it keeps only some of the videos. The order within a slate was
    not recorded: slots stand by rising id, and the tables say that they have no order of display. A video that comes
    again in its slate has one slot, clicked if any of its rows is; the others are counted.

    Args:
        exposures: a folder with the official `log_standard_*.csv`, one such file, or a Parquet table with the same
            columns. `log_random_*.csv` holds videos shown at random and is read where it is named.
        videos: `video_features_basic_*.csv` or a Parquet table; None where there is none.
        group: column of `videos` that puts each into a group, such as `tag`; no effect without `videos`.
        click: column of feedback that counts as a click, 0 or 1.
    """

    exposures: str | Path
    videos: str | Path | None = None
    group: str | None = None
    click: str = "is_click"

    def slates(self) -> SlateTables:
        """Impressions and, where they are named, videos."""
        places = exposure_files(self.exposures, "log_standard_*.csv")
        parts = [read_table(place, exposure_schema(self.click, Kind.INTEGER)) for place in places]
        marks = [mark(place, part) for place, part in zip(places, parts, strict=True)]
        shown = pl.concat([part.select("user_id", "video_id", "time_ms", self.click) for part in parts]).collect()
        other = ~pl.col(self.click).cast(pl.Int64).is_in((0, 1))
        for place, part in zip(places, parts, strict=True):
            if part.select(other.any()).collect().item():
                file, row, value = scan.first_row(place, other, self.click)
                raise DataError(
                    f"{file}, row {row} (from 0), column {self.click!r}: {value}, expected 0 or 1: name another column"
                )
        impressions = _slates(shown, self.click)
        items = None
        if self.videos is not None:
            items = read_table(self.videos, VIDEOS)
            marks.append(mark(str(self.videos), items))
            items = items.rename({"video_id": "item_id"})
            if self.group is not None and self.group not in items.collect_schema():
                raise DataError(f"{self.videos}: no column {self.group!r} to group videos by; name another")
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


def exposure_schema(feedback: str, kind: Kind) -> Schema:
    """One row an exposure, with a column of feedback."""
    ids = (Column(name, Kind.ID, required=True) for name in ("user_id", "video_id"))
    return Schema("exposures", (*ids, Column("time_ms", Kind.INTEGER, True), Column(feedback, kind, True)))


def exposure_files(location: str | Path, pattern: str) -> list[str]:
    """The files of exposures: those of a folder that match the pattern, or the file or Parquet table that is named.

    Raises:
        DataError: there is none.
    """
    path = Path(location)
    if scan.is_remote(str(location)) or path.is_file():
        return [str(location)]
    if not path.exists():
        raise DataError(f"{location}: no such table; expected the exposures of KuaiRand: see {HOME}")
    found = sorted(str(file) for file in path.glob(pattern))
    if not found and not any(path.rglob("*.parquet")):
        raise DataError(f"{location}: no {pattern} in it; expected the exposures of KuaiRand: see {HOME}")
    return found or [str(location)]


def _slates(shown: pl.DataFrame, click: str) -> pl.DataFrame:
    """One row for each user and millisecond.

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
