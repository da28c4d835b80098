from __future__ import annotations

from pathlib import Path

import pytest

from recsys.data.logs.feedback_source import FeedbackSource
from recsys.data.sources.kuairand import KuaiRandRandom
from recsys.errors import ConfigurationError, DataError

HEADER = "user_id,video_id,date,hourmin,time_ms,is_click,is_like,long_view,play_time_ms,is_rand,tab\n"


def write(folder: Path, name: str = "log_random_4_22_to_5_08_pure.csv", rows: str = "") -> Path:
    rows = rows or "9,50,20220422,400,1650812741436,1,0,0,100,1,1\n7,51,20220422,400,1650812741437,0,0,1,900,1,1\n"
    (folder / name).write_text(HEADER + rows)
    return folder / name


def test_each_video_of_the_pool_was_as_likely(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, "log_random_5_09.csv", "7,53,20220509,1,1650812741438,1,1,0,100,1,1\n")
    write(tmp_path, "log_standard_5_09.csv", "7,99,20220509,1,1650812741438,1,1,0,100,0,1\n")
    source = KuaiRandRandom(tmp_path)
    assert isinstance(source, FeedbackSource)
    log = source.log()
    assert log.actions["action"].to_list() == [50, 51, 53]
    assert log.summary == {"rounds": 3, "actions": 3, "pool": 3}
    [batch] = log.batches()
    assert batch.propensity is not None and batch.propensity.tolist() == [1 / 3] * 3
    assert batch.reward.tolist() == [1.0, 0.0, 1.0]
    assert batch.user is not None and batch.user.tolist() == [1, 0, 0]


def test_the_pool_and_the_reward_may_be_named(tmp_path: Path) -> None:
    path = write(tmp_path)
    log = KuaiRandRandom(path, reward="play_time_ms", pool=7583).log()
    [batch] = log.batches()
    assert batch.reward.tolist() == [100.0, 900.0]
    assert batch.propensity is not None and batch.propensity.tolist() == [1 / 7583] * 2
    assert log.fingerprint != KuaiRandRandom(path).log().fingerprint
    with pytest.raises(ConfigurationError, match="the log has 2 videos, more than pool=1"):
        KuaiRandRandom(path, pool=1).log()


def test_bad_rows_and_places(tmp_path: Path) -> None:
    write(tmp_path, "log_random_1.csv")
    write(tmp_path, "log_random_2.csv", "7,53,20220509,1,2,NaN,1,0,100,1,1\n")
    with pytest.raises(DataError, match=r"log_random_2.csv, row 0 .*'reward': nan is no reward"):
        KuaiRandRandom(tmp_path).log()
    assert KuaiRandRandom(tmp_path, exclude=True).log().summary["reward is no reward"] == 1
    with pytest.raises(DataError, match="no such table"):
        KuaiRandRandom(tmp_path / "none").log()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no log_random_\*.csv in it"):
        KuaiRandRandom(tmp_path / "empty").log()
