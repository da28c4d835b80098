"""The files and columns of the KuaiRand release."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recsys.data.tables import scan
from recsys.data.tables.row_checks import RowRule
from recsys.data.tables.schema import ColumnKind, TableColumn, TableSchema
from recsys.errors import DataError
from recsys.types.feedback import ChannelKind

EXPOSURES = TableSchema(
    "exposures",
    (
        TableColumn("user_id", ColumnKind.ID, required=True),
        TableColumn("video_id", ColumnKind.ID, required=True),
        TableColumn("time_ms", ColumnKind.INTEGER, required=True),
    ),
)
"""The columns of the release that are read, without those of feedback."""


VIDEOS = TableSchema("videos", (TableColumn("video_id", ColumnKind.ID, required=True),), key="video_id")

HISTORIES = TableSchema(
    "histories",
    (
        TableColumn("user_id", ColumnKind.ID, required=True),
        TableColumn("watch_seq", ColumnKind.IDS, required=True),
    ),
    key="user_id",
)

WITHOUT_NULLS = RowRule(
    "watch_seq",
    pl.col("watch_seq").list.drop_nulls().list.len() != pl.col("watch_seq").list.len(),
    "holds a null, expected ids of videos. Drop it",
)


@dataclass(frozen=True)
class OfficialColumn:
    """A column of feedback of the release.

    Args:
        channel: name of the channel in examples.
        kind: kind of the channel.
        divisor: number that values are divided by; 1,000 turns milliseconds into seconds.
    """

    channel: str
    kind: ChannelKind
    divisor: float = 1.0


FEEDBACK = {
    "is_click": OfficialColumn("click", ChannelKind.BINARY),
    "is_like": OfficialColumn("like", ChannelKind.BINARY),
    "is_follow": OfficialColumn("follow", ChannelKind.BINARY),
    "is_comment": OfficialColumn("comment", ChannelKind.BINARY),
    "is_forward": OfficialColumn("forward", ChannelKind.BINARY),
    "is_hate": OfficialColumn("hate", ChannelKind.BINARY),
    "long_view": OfficialColumn("long_view", ChannelKind.BINARY),
    "is_profile_enter": OfficialColumn("profile_enter", ChannelKind.BINARY),
    "play_time_ms": OfficialColumn("watch_time", ChannelKind.SECONDS, 1000.0),
    "profile_stay_time": OfficialColumn("profile_stay_time", ChannelKind.SECONDS, 1000.0),
    "comment_stay_time": OfficialColumn("comment_stay_time", ChannelKind.SECONDS, 1000.0),
}
"""The channel of each column of feedback of the release."""

HOME = "github.com/chongminggao/KuaiRand"


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
