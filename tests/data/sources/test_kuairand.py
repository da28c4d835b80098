from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from recsys.data.datasets.prepare_slates import prepare_slates
from recsys.data.datasets.slate_log import SlateLog
from recsys.data.sources.kuairand import KuaiRand, KuaiRandFolder
from recsys.data.sources.source import SlateSource
from recsys.errors import ConfigurationError, DataError
from recsys.types.jagged import Jagged
from tests.slate_files import write_kuairand

START = 1_650_812_741_436

EXPOSURES = pl.DataFrame(
    [
        (7, 50, START + 1, 1, 0),
        (7, 52, START, 0, 0),
        (7, 51, START, 1, 1),
        (3, 51, START, 0, 0),
        (7, 50, START, 0, 1),
        (7, 51, START, 0, 0),  # the second row of this video in this slate
    ],
    schema=["user_id", "video_id", "time_ms", "is_click", "is_like"],
    orient="row",
)

OFFICIAL = (
    "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,"
    "play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab\n"
)


def write(folder: Path, frame: pl.DataFrame = EXPOSURES) -> Path:
    path = folder / "exposures.parquet"
    frame.write_parquet(path)
    return path


def official(row: tuple[int, ...]) -> str:
    user, video, time, click, like = row
    return f"{user},{video},20220425,400,{time},{click},{like},0,0,0,0,0,100,9000,0,0,0,0,1\n"


def slates(source: KuaiRand) -> list[tuple[object, ...]]:
    return source.slates().impressions.select("request_id", "user_id", "slate", "clicks").collect().rows()


def test_what_one_millisecond_shows_is_a_slate(tmp_path: Path) -> None:
    source = KuaiRand(write(tmp_path))
    assert isinstance(source, SlateSource)
    tables = source.slates()
    assert slates(source) == [
        (f"3-{START}", 3, [51], []),
        (f"7-{START}", 7, [50, 51, 52], [1]),
        (f"7-{START + 1}", 7, [50], [0]),
    ]
    assert tables.dropped == {"repeated_exposures": 1}
    assert tables.timed and not tables.displayed
    shown = tables.impressions.collect().get_column("timestamp")
    assert shown[2] - shown[1] == timedelta(milliseconds=1)
    assert shown[1] == datetime(2022, 4, 24, 15, 5, 41, 436_000)


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    first = slates(KuaiRand(write(tmp_path)))
    assert slates(KuaiRand(write(tmp_path, EXPOSURES.reverse()))) == first


def test_another_feedback_may_count_as_the_click(tmp_path: Path) -> None:
    assert [row[3] for row in slates(KuaiRand(write(tmp_path), click="is_like"))] == [[], [0, 1], []]


def by_slot(log: SlateLog, name: str) -> list[float]:
    value = log.feedback[name].value
    assert isinstance(value, Jagged)
    return value.values.tolist()


def test_every_kind_of_feedback_that_the_table_has_is_read(tmp_path: Path) -> None:
    frame = EXPOSURES.with_columns(play_time_ms=pl.Series([100, 0, 250, 0, 400, 3000]))
    log = prepare_slates(KuaiRand(write(tmp_path, frame)))
    assert {name: channel.kind.value for name, channel in log.feedback.items()} == {
        "click": "binary",
        "like": "binary",
        "watch_time": "seconds",
    }
    assert log.slates.values.tolist() == [1, 0, 1, 2, 0]
    assert by_slot(log, "click") == [0, 0, 1, 0, 1] and by_slot(log, "like") == [0, 1, 1, 0, 0]
    assert by_slot(log, "watch_time") == pytest.approx([0, 0.4, 3, 0, 0.1])  # seconds; the longest of two rows


def test_the_official_layout_has_eleven_kinds_of_feedback(tmp_path: Path) -> None:
    (tmp_path / "log_standard_4_08_to_4_21_pure.csv").write_text(OFFICIAL + official((7, 50, START, 1, 1)))
    log = prepare_slates(KuaiRand(tmp_path))
    assert len(log.feedback) == 11 and by_slot(log, "watch_time") == pytest.approx([0.1])


def test_bad_feedback_names_file_column_and_row(tmp_path: Path) -> None:
    path = write(tmp_path, EXPOSURES.with_columns(play_time_ms=pl.Series([100, 0, -5, 0, 0, 0])))
    with pytest.raises(DataError, match=r"exposures.parquet, row 2 \(from 0\), column 'play_time_ms': -5 is no feedba"):
        KuaiRand(path).slates()
    with pytest.raises(ConfigurationError, match="click: 'play_time_ms' holds seconds, expected a column of 0 and 1"):
        KuaiRand(path, click="play_time_ms").slates()


def test_histories_hold_what_users_watched_before(tmp_path: Path) -> None:
    histories = tmp_path / "histories.parquet"
    pl.DataFrame({"user_id": [7, 9], "watch_seq": [[52, 60], [50]]}).write_parquet(histories)
    log = prepare_slates(KuaiRand(write(tmp_path), histories=histories))
    assert log.items.get_column("item_id").to_list() == [50, 51, 52, 60]
    assert log.before is not None and log.before.to_padded(-1).tolist() == [[-1, -1], [2, 3]]
    assert log.fingerprint != prepare_slates(KuaiRand(write(tmp_path))).fingerprint
    pl.DataFrame({"user_id": [7], "watch_seq": [[52, None]]}).write_parquet(histories)
    with pytest.raises(DataError, match=r"histories.parquet, row 0 .*'watch_seq': \[52, None\] holds a null"):
        KuaiRand(write(tmp_path), histories=histories).slates()


def test_official_logs_are_read_together_and_random_ones_only_by_name(tmp_path: Path) -> None:
    rows = [official(row) for row in EXPOSURES.rows()]
    (tmp_path / "log_standard_4_08_to_4_21_pure.csv").write_text(OFFICIAL + "".join(rows[:2]))
    (tmp_path / "log_standard_4_22_to_5_08_pure.csv").write_text(OFFICIAL + "".join(rows[2:]))
    random = tmp_path / "log_random_4_22_to_5_08_pure.csv"
    random.write_text(OFFICIAL + official((9, 50, START, 1, 0)))
    (tmp_path / "elsewhere").mkdir()
    assert slates(KuaiRand(tmp_path)) == slates(KuaiRand(write(tmp_path / "elsewhere")))
    assert slates(KuaiRand(random)) == [(f"9-{START}", 9, [50], [0])]


def test_videos_bring_groups(tmp_path: Path) -> None:
    videos = tmp_path / "video_features_basic_pure.csv"
    videos.write_text('video_id,author_id,tag\n50,1,"3,9"\n51,1,\n53,2,4\n')
    log = prepare_slates(KuaiRand(write(tmp_path), videos, group="tag"))
    assert log.items.get_column("item_id").to_list() == [50, 51, 52]
    assert log.items.get_column("group_name").to_list() == ["3,9", None, None]
    assert log.items.get_column("group").to_list() == [0, 1, 1]
    assert log.summary["repeated_exposures"] == 1 and log.summary["items_without_impressions"] == 1
    with pytest.raises(DataError, match="no column 'genre' to group videos by"):
        KuaiRand(write(tmp_path), videos, group="genre").slates()


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    first = KuaiRand(write(tmp_path)).slates().fingerprint
    assert KuaiRand(write(tmp_path)).slates().fingerprint == first
    assert KuaiRand(write(tmp_path, EXPOSURES.head(3))).slates().fingerprint != first


def test_a_click_is_0_or_1(tmp_path: Path) -> None:
    path = write(tmp_path, EXPOSURES.with_columns(is_click=pl.Series([0, 1, 1, 7, 0, 0])))
    with pytest.raises(
        DataError, match=r"exposures.parquet, row 3 \(from 0\), column 'is_click': 7 is no .*, expected 0 or 1"
    ):
        KuaiRand(path).slates()


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such table; expected the exposures of KuaiRand"):
        KuaiRand(tmp_path / "none").slates()
    with pytest.raises(DataError, match="column 'is_watched' of table 'exposures' is missing"):
        KuaiRand(write(tmp_path), click="is_watched").slates()
    with pytest.raises(DataError, match=r"row 0 \(from 0\), column 'time_ms': found null"):
        KuaiRand(write(tmp_path, EXPOSURES.with_columns(time_ms=pl.lit(None, dtype=pl.Int64)))).slates()


@pytest.mark.parametrize("parquet", [False, True], ids=["release", "tables"])
def test_a_folder_is_the_release_or_tables(parquet: bool, tmp_path: Path) -> None:
    folder = write_kuairand(tmp_path)
    (folder / "exposures.parquet").unlink()  # of another kind
    log = next(iter(sorted(folder.rglob("log_standard_*.csv"))))
    if parquet:
        pl.read_csv(log).write_parquet(folder / "exposures.parquet")
        log.unlink()
    table = folder / "exposures.parquet"
    named = KuaiRand(exposures=table if parquet else folder).slates()
    found = KuaiRandFolder(folder).slates()
    assert found.impressions.collect().equals(named.impressions.collect())


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none: no such folder; expected KuaiRand"):
        KuaiRandFolder(tmp_path / "none").slates()
