from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from recsys.data.logs.actions import ActionLog
from recsys.data.logs.dsjson import DSJson
from recsys.data.logs.feedback_source import FeedbackSource
from recsys.data.logs.slates import SlateFeedbackLog
from recsys.errors import DataError

MULTI = [{"_tag": name, "i": {"id": name}} for name in ("tea", "coffee", "milk")]


def bandit(number: int = 0, **changes: Any) -> dict[str, Any]:
    event = {
        "_label_cost": -1.0,
        "_label_probability": 0.5,
        "_label_Action": 2,
        "_labelIndex": 1,
        "Timestamp": "2021-02-04T16:31:29.2460000Z",
        "Version": "1",
        "EventId": f"e{number}",
        "a": [2, 1, 3],
        "c": {"User": {"age": 30, "city": "Oslo"}, "_multi": MULTI},
        "p": [0.5, 0.25, 0.25],
        "VWState": {"m": "x"},
    }
    return {key: value for key, value in {**event, **changes}.items() if value is not ...}


def write(folder: Path, *events: Any) -> Path:
    path = folder / "log.dsjson"
    path.write_text("".join((event if isinstance(event, str) else json.dumps(event)) + "\n" for event in events))
    return path


def test_contextual_bandits(tmp_path: Path) -> None:
    other = bandit(
        1, _label_cost=2, _labelIndex=0, _label_probability=0.25, c={"User": {"city": "Rome"}, "_multi": MULTI}
    )
    source = DSJson(write(tmp_path, bandit(), other))
    assert isinstance(source, FeedbackSource)
    log = source.log()
    assert isinstance(log, ActionLog)
    assert (len(log), log.num_actions, log.name) == (2, 3, "log")
    [batch] = log.batches()
    assert batch.action.tolist() == [1, 0] and batch.reward.tolist() == [1.0, -2.0]
    assert batch.propensity is not None and batch.propensity.tolist() == [0.5, 0.25]
    assert log.context_names == ("User.age", "User.city=Oslo", "User.city=Rome")
    assert batch.context is not None and batch.context.tolist() == [[30.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    assert batch.candidates is not None and batch.candidates.all()
    assert log.requests().collect()["request_id"].to_list() == ["e0", "e1"]


def test_actions_by_their_own_ids_and_the_index_from_one(tmp_path: Path) -> None:
    fewer = bandit(1, _labelIndex=..., _label_Action=1, c={"_multi": MULTI[2:]})
    log = DSJson(write(tmp_path, bandit(), fewer), identifier="i.id", context=False).log()
    assert isinstance(log, ActionLog)
    assert log.actions["action"].to_list() == ["coffee", "milk", "tea"]
    [batch] = log.batches()
    assert batch.action.tolist() == [0, 1] and batch.context is None
    assert batch.candidates is not None and batch.candidates.tolist() == [[True] * 3, [False, True, False]]


def test_what_is_no_event_to_learn_from_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    observation = {"EventId": "e0", "v": 1.0}
    with caplog.at_level(logging.WARNING):
        log = DSJson(write(tmp_path, observation, "", bandit(0, _skipLearn=True), bandit(1))).log()
    assert log.summary == {"rounds": 1, "actions": 3, "lines without a decision": 1, "events not to learn from": 1}
    assert "left out 1 (lines without a decision), 1 (events not to learn from)" in caplog.text


CCB = {
    "EventId": "t",
    "c": {"_multi": MULTI, "_slots": [{"_id": "x", "_inc": [1, 2]}, {"_id": "y"}]},
    "_outcomes": [
        {"_label_cost": 2, "_o": [], "_a": 1, "_p": 0.25},
        {"_label_cost": -4, "_o": [], "_a": [2, 0], "_p": [0.75, 0.25]},
    ],
}


def test_conditional_contextual_bandits_are_slates_with_rewards_of_their_own(tmp_path: Path) -> None:
    log = DSJson(write(tmp_path, CCB), identifier="i.id").log()
    assert isinstance(log, SlateFeedbackLog)
    assert log.items["item_id"].to_list() == ["coffee", "milk", "tea"]
    [batch] = log.batches()
    assert batch.items.tolist() == [[0, 1]] and batch.reward.tolist() == [[-2.0, 4.0]] and batch.by_slot
    assert batch.prefix is not None and batch.prefix.tolist() == [[0.25, 0.75]] and batch.slot is None
    assert batch.propensity is not None and batch.propensity.tolist() == [0.1875]


SLATES = {
    "_label_cost": 1,
    "_outcomes": [{"_a": 1, "_p": 0.8}, {"_a": [0, 1], "_p": [0.6, 0.4]}],
    "EventId": "t",
    "c": {"_multi": [{"_slot_id": slot, "x": 1} for slot in (0, 1, 0, 1)], "_slots": [{}, {}]},
}


def test_slates_choose_within_their_slots(tmp_path: Path) -> None:
    log = DSJson(write(tmp_path, SLATES)).log()
    assert isinstance(log, SlateFeedbackLog)
    [batch] = log.batches()
    assert batch.items.tolist() == [[2, 1]]  # the second action of slot 0, the first of slot 1
    assert batch.reward.tolist() == [[-1.0, 0.0]] and not batch.by_slot
    assert batch.slot is not None and batch.slot.tolist() == [[0.8, 0.6]]
    assert batch.propensity is not None and batch.propensity.tolist() == pytest.approx([0.48])


BAD = {
    "json": ([bandit(), "{"], r"log.dsjson, row 1 \(from 0\): no JSON"),
    "no object": (["[1]"], r"row 0 .*: \[1\] is no event"),
    "propensity 0": (["", bandit(_label_probability=0.0)], r"row 1 .*'propensity': 0.0 is no propensity"),
    "cost NaN": ([bandit(), bandit(1, _label_cost="NaN")], r"row 1 .*'reward': nan is no reward"),
    "cost text": ([bandit(_label_cost="much")], r"row 0 .*ValueError could not convert string to float: 'much'"),
    "no probability": (
        [bandit(_label_probability=...)],
        r"row 0 .*KeyError '_label_probability'; expected _label",
    ),
    "outside": ([bandit(_labelIndex=3)], r"row 0 .*IndexError .*within `_multi`"),
    "before": ([bandit(_labelIndex=-1)], r"row 0 .*action -1 is before the first"),
    "mixed": ([bandit(), CCB], r"row 1 .*an event of kind 'ccb' among those of kind 'cb'"),
    "pdrop": ([bandit(), bandit(1, pdrop=0.5)], r"`pdrop` takes several values \(0.0, 0.5\)"),
    "event twice": ([bandit(), bandit()], r"row 1 .*'action': 1 stands in the table twice for one request"),
    "nothing": ([{"v": 1}], "no line holds a decision"),
    "item twice": (
        [{**CCB, "_outcomes": [{"_label_cost": 0, "_a": 1, "_p": 0.5}] * 2}],
        r"row 0 .*'slate': \[1, 1\] holds an item twice",
    ),
}


@pytest.mark.parametrize(("events", "message"), BAD.values(), ids=BAD)
def test_bad_events_are_refused(tmp_path: Path, events: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        DSJson(write(tmp_path, *events)).log()


def test_identifiers_name_each_action_once(tmp_path: Path) -> None:
    twice = bandit(c={"_multi": [MULTI[0], MULTI[0]]})
    with pytest.raises(DataError, match=r"`_multi` offers an action twice"):
        DSJson(write(tmp_path, twice), identifier="i.id").log()
    with pytest.raises(DataError, match=r"action 0 of `_multi` has no 'i.name'"):
        DSJson(write(tmp_path, bandit()), identifier="i.name").log()


def test_too_many_features_are_no_context(tmp_path: Path) -> None:
    wide = bandit(c={"User": {f"f{number}": 1 for number in range(1001)}, "_multi": MULTI})
    with pytest.raises(DataError, match=r"a context of 1,001 numbers, expected at most 1,000: read it with con"):
        DSJson(write(tmp_path, wide)).log()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        DSJson(tmp_path / "none").log()
