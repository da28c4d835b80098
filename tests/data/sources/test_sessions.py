"""Sessions: windows over what a user was shown, their feedback and histories, and the rules that choose them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from recsys.data.datasets.examples import SlateExamples
from recsys.data.datasets.prepare_slates import prepare_slates
from recsys.data.datasets.session_rules import SessionRules
from recsys.data.datasets.slate_log import SlateLog
from recsys.data.datasets.split import split_slates_by_time
from recsys.data.sources.parquet import ParquetExposures, ParquetSlates
from recsys.data.sources.sessions import Sessions
from recsys.errors import ConfigurationError, DataError

KINDS: Any = {"click": "binary", "watch_time": "seconds"}
SHOWN = {
    # user: (item, time in s, click, watch time)
    1: [(10, 0, 1, 5.0), (11, 5, 0, 0.5), (12, 9, 1, 3.0), (13, 100, 0, 0.0), (14, 101, 1, 9.0), (10, 102, 0, 0.0)],
    2: [(11, 3, 0, 0.0), (12, 4, 0, 0.0), (11, 5, 1, 2.0), (14, 6, 1, 1.0)],
    3: [(13, 7, 1, 1.0)],
}


@pytest.fixture
def exposures(tmp_path: Path) -> ParquetExposures:
    rows = [(user, *row) for user, shown in SHOWN.items() for row in shown]
    table = pl.DataFrame(rows, ["user_id", "item_id", "timestamp", "click", "watch_time"], orient="row")
    table.sample(fraction=1, shuffle=True, seed=0).write_parquet(tmp_path / "exposures.parquet")
    return ParquetExposures(str(tmp_path), KINDS, request=None)


def sessions(source: ParquetExposures, **options: Any) -> SlateLog:
    return prepare_slates(Sessions(source, **options))


def raw(log: SlateLog) -> list[list[int]]:
    item_ids = log.items.get_column("item_id").to_list()
    return [[item_ids[item] for item in slate.tolist()] for slate in log.slates.values.view(len(log), -1)]


def test_windows_follow_each_other_and_are_counted(exposures: ParquetExposures) -> None:
    log = sessions(exposures, slots=2)
    assert raw(log) == [[10, 11], [12, 13], [14, 10], [11, 12], [11, 14]]
    assert log.times().tolist() == [5, 100, 102, 4, 6], "the time of the last item"
    assert log.summary["short_sessions"] == 1 and log.summary["sessions_with_a_repeat"] == 0
    log = sessions(exposures, slots=3)
    assert raw(log) == [[10, 11, 12], [13, 14, 10]], "of user 2 the window holds 11 twice"
    assert log.summary["short_sessions"] == 2 and log.summary["sessions_with_a_repeat"] == 1
    assert "2 short sessions" in log.describe().replace("_", " ")


def test_a_pause_ends_a_session(exposures: ParquetExposures) -> None:
    assert raw(sessions(exposures, slots=2, gap=60.0)) == [[10, 11], [13, 14], [11, 12], [11, 14]]
    assert raw(sessions(exposures, slots=2, gap=91.0)) == [[10, 11], [12, 13], [14, 10], [11, 12], [11, 14]]


def test_feedback_stays_with_its_slot(exposures: ParquetExposures) -> None:
    log = sessions(exposures, slots=2)
    assert log.slot_values("watch_time").tolist() == [5.0, 0.5, 3.0, 0.0, 9.0, 0.0, 0.0, 0.0, 2.0, 1.0]
    assert log.slot_values("click").tolist() == [1, 0, 1, 0, 1, 0, 0, 0, 1, 1]
    assert [log.clicks.select(torch.tensor([row])).values.tolist() for row in range(5)] == [[0], [0], [0], [], [0, 1]]


def test_a_history_holds_earlier_sessions_only(exposures: ParquetExposures) -> None:
    log = sessions(exposures, slots=2)
    examples = SlateExamples(log).select(torch.arange(5))
    item_ids = log.items.get_column("item_id").to_list()
    lists = examples.context.history.values.tolist(), examples.context.history.lengths.tolist()
    assert lists[1] == [0, 1, 2, 0, 0]
    assert [item_ids[item] for item in lists[0]] == [10, 10, 12]


def test_a_session_that_trains_is_over_before_the_cut(exposures: ParquetExposures) -> None:
    log = sessions(exposures, slots=2)
    split = split_slates_by_time(log, validation=0.3, test=0.3)
    assert log.times()[split.train].max() < log.times()[split.validation].min()


def test_what_is_no_session_is_refused(exposures: ParquetExposures, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"of 3 windows over 11 exposures 3 are shorter and 0 hold an item twice\. Lower slots$"
    ):
        sessions(exposures, slots=7)
    with pytest.raises(DataError, match=r"without a pause of 1 s; .* Lower slots, or raise data\.source\.gap$"):
        sessions(exposures, slots=4, gap=1.0)
    with pytest.raises(ConfigurationError, match="slots=0"):
        Sessions(exposures, slots=0)
    with pytest.raises(ConfigurationError, match="gap=0"):
        Sessions(exposures, gap=0)


def test_slates_of_several_items_are_joined_in_their_order(tmp_path: Path) -> None:
    rows = {"request_id": ["b", "a"], "user_id": [1, 1], "timestamp": [9, 2], "slate": [[5, 4], [7, 6, 8]]}
    table = pl.DataFrame({**rows, "clicks": [[1], [0, 2]], "satisfied": [1, 0]})
    table.write_parquet(tmp_path / "impressions.parquet")
    source = ParquetSlates(str(tmp_path), feedback={"satisfied": "binary"})  # type: ignore[dict-item]
    log = prepare_slates(Sessions(source, slots=4))
    assert raw(log) == [[7, 6, 8, 5]]
    assert log.slot_values("click").tolist() == [1, 0, 1, 0]
    assert not log.feedback, "a session is not a slate of the log"


def test_rules_are_met_together_and_counted_one_by_one(exposures: ParquetExposures) -> None:
    log = sessions(exposures, slots=2)
    assert SessionRules(positive={"click": 1})(log).tolist() == [True, True, True, False, True]
    assert SessionRules(positive={"watch_time": 2})(log).tolist() == [True, False, False, False, True]
    assert SessionRules(total={"watch_time": 3.0})(log).tolist() == [True, True, True, False, True]
    assert SessionRules(any_of=["click", "watch_time"])(log).tolist() == [True, True, True, False, True]
    assert SessionRules()(log).all()
    rules = SessionRules(positive={"click": 1}, total={"watch_time": 5.0})
    assert rules(log).tolist() == [True, False, True, False, False]
    assert rules.describe(log) == "5 sessions: 4 with click in 1 slots, 2 with watch_time of 5, 2 meet all rules"


def test_rules_name_what_they_miss(exposures: ParquetExposures) -> None:
    log = sessions(exposures, slots=2)
    with pytest.raises(DataError, match="no feedback 'like' with one number a slot; found click, watch_time"):
        SessionRules(any_of=["like"])(log)
    for rule in ("positive", "total"):
        with pytest.raises(DataError, match=rf"SessionRules\.{rule}: .* no feedback 'like' .*; found click, watch"):
            SessionRules(**{rule: {"like": 1}})(log)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="'click' asks for at least -1"):
        SessionRules(positive={"click": -1})
    with pytest.raises(ConfigurationError, match="'watch_time' asks for at least nan"):
        SessionRules(total={"watch_time": float("nan")})


def test_the_fingerprint_knows_the_windows(exposures: ParquetExposures) -> None:
    marks = {sessions(exposures, slots=2).fingerprint, sessions(exposures, slots=3).fingerprint}
    marks |= {sessions(exposures, slots=2, gap=60.0).fingerprint, prepare_slates(exposures).fingerprint}
    assert len(marks) == 4
    assert replace(Sessions(exposures), slots=2).slates().fingerprint in marks
