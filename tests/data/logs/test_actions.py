from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from recsys.data.logs.actions import ActionLog
from recsys.data.logs.feedback_source import FeedbackSource, ParquetFeedback
from recsys.errors import DataError

GOOD: dict[str, list[Any]] = {
    "action": ["b", "a", "b", "c"],
    "reward": [1.0, 0.0, 0.5, -2.0],
    "propensity": [0.5, 0.25, 1.0, 0.125],
    "request_id": [4, 3, 2, 1],
    "user_id": ["u", "v", "u", "u"],
    "context": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]],
    "candidates": [["a", "b"], ["a"], ["b", "c"], ["c", "d"]],
    "policy": ["new", "old", "new", "new"],
}


def write(folder: Path, **changes: Any) -> Path:
    columns = {name: values for name, values in {**GOOD, **changes}.items() if values is not None}
    path = folder / "feedback.parquet"
    pl.DataFrame(columns).write_parquet(path)
    return path


def read(path: Path, **options: Any) -> ActionLog:
    log = ParquetFeedback(path, **options).log()
    assert isinstance(log, ActionLog)
    return log


def test_a_log_is_read_in_batches_of_indices(tmp_path: Path) -> None:
    assert isinstance(ParquetFeedback("x"), FeedbackSource)
    log = read(write(tmp_path, extra=[1, 2, 3, 4]))
    assert (log.name, len(log), log.num_actions, log.estimated) == ("feedback", 4, 4, False)
    assert log.actions["action"].to_list() == ["a", "b", "c", "d"]  # the last one was only ever offered
    assert log.summary == {"rounds": 4, "actions": 4}
    first, second = log.batches(3)
    assert first.request.tolist() == [0, 1, 2] and second.request.tolist() == [3]
    assert first.action.tolist() == [1, 0, 1] and second.action.tolist() == [2]
    assert first.reward.tolist() == [1.0, 0.0, 0.5] and first.reward.dtype == torch.float64
    assert first.propensity is not None and first.propensity.tolist() == [0.5, 0.25, 1.0]
    assert first.user is not None and first.user.tolist() == [0, 1, 0]
    assert first.context is not None and first.context.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert second.candidates is not None and second.candidates.tolist() == [[False, False, True, True]]
    assert log.requests().collect().rows() == [(4, "b"), (3, "a"), (2, "b"), (1, "c")]


def test_what_a_log_does_not_say_is_none(tmp_path: Path) -> None:
    rest = dict.fromkeys(["propensity", "request_id", "user_id", "context", "candidates", "policy"])
    log = read(write(tmp_path, action=[5, 3, 5, 9], **rest))
    [batch] = log.batches()
    assert log.actions["action"].to_list() == [3, 5, 9] and batch.action.tolist() == [1, 0, 1, 2]
    assert batch.propensity is batch.user is batch.context is batch.candidates is None


def test_a_table_of_actions_is_the_support_and_brings_features(tmp_path: Path) -> None:
    actions = tmp_path / "actions.parquet"
    pl.DataFrame({"action": ["e", "d", "c", "b", "a"], "colour": [5, 4, 3, 2, 1]}).write_parquet(actions)
    log = read(write(tmp_path), actions=actions)
    assert log.actions["colour"].to_list() == [1, 2, 3, 4, 5]
    assert [batch.action.tolist() for batch in log.batches()] == [[1, 0, 1, 2]]


def test_rows_of_one_policy(tmp_path: Path) -> None:
    path = write(tmp_path)
    log = read(path, policy="old")
    assert len(log) == 1
    assert log.fingerprint != read(path).fingerprint == read(path).fingerprint


NO_PROPENSITY = r"is no propensity, expected a probability in \(0, 1\]"
MALFORMED = {
    "propensity 0": ({"propensity": [0.5, 0.0, 1.0, 1.0]}, f"row 1 .*'propensity': 0.0 {NO_PROPENSITY}"),
    "propensity above 1": ({"propensity": [0.5, 0.1, 1.5, 1.0]}, f"row 2 .*'propensity': 1.5 {NO_PROPENSITY}"),
    "propensity NaN": ({"propensity": [float("nan"), 0.1, 1, 1]}, f"row 0 .*'propensity': nan {NO_PROPENSITY}"),
    "propensity null": ({"propensity": [0.5, 0.1, 1, None]}, f"row 3 .*'propensity': None {NO_PROPENSITY}"),
    "propensity negative": ({"propensity": [0.5, -0.1, 1, 1]}, f"row 1 .*'propensity': -0.1 {NO_PROPENSITY}"),
    "reward text": ({"reward": ["1", "x", "0", "0"]}, r"'reward' .* holds String, expected numbers .*row 0 .*'1'"),
    "reward NaN": ({"reward": [0.0, 1.0, float("nan"), 1.0]}, r"row 2 .*'reward': nan is no reward, expected a finite"),
    "reward infinite": ({"reward": [0.0, 1.0, 1.0, float("inf")]}, r"row 3 .*'reward': inf is no reward"),
    "reward null": ({"reward": [0.0, None, 1, 1]}, r"row 1 .*'reward': None is no reward"),
    "action null": ({"action": ["b", None, "b", "c"]}, r"row 1 .*'action': None is null"),
    "action not offered": ({"candidates": [["a"], ["a"], ["b"], ["c"]]}, r"row 0 .*'action': b is outside the sup"),
    "nothing offered": ({"candidates": [["b"], ["a"], None, ["c"]]}, r"row 2 .*'action': b is outside the support"),
    "context shorter": ({"context": [[1, 2], [1, 2], [1], [1, 2]]}, r"row 2 .*'context': \[1\] is no context like"),
    "context null": ({"context": [[1, 2], [1, 2], [1, 2], None]}, r"row 3 .*'context': None is no context"),
    "context NaN": ({"context": [[1.0, float("nan")]] + [[1.0, 2.0]] * 3}, r"row 0 .*'context': .* no finite number"),
    "request twice": (
        {"request_id": [4, 3, 4, 1]},
        r"row 2 .*'action': b stands in the table twice for one request",
    ),
    "user null": ({"user_id": ["u", None, "u", "u"]}, r"row 1 .*'user_id': None is null"),
    "no reward": ({"reward": None}, "column 'reward' of table 'feedback' is missing"),
}


@pytest.mark.parametrize(("changes", "message"), MALFORMED.values(), ids=MALFORMED)
def test_bad_rows_are_refused_with_file_row_and_reason(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(DataError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_an_action_that_the_table_of_actions_lacks_is_outside_the_support(tmp_path: Path) -> None:
    actions = tmp_path / "actions.parquet"
    pl.DataFrame({"action": ["a", "b", "d"]}).write_parquet(actions)
    with pytest.raises(DataError, match=r"row 3 .*'action': c is outside the support, expected an action of the table"):
        read(write(tmp_path), actions=actions)
    pl.DataFrame({"action": ["a", "b", "c"]}).write_parquet(actions)
    with pytest.raises(DataError, match=r"row 3 .*'candidates': .* hold what is outside the support"):
        read(write(tmp_path), actions=actions)


def test_rows_are_excluded_only_when_asked_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(
        tmp_path,
        propensity=[0.0, 2.0, 1.0, 0.5],
        reward=[float("nan"), 1.0, 1.0, 1.0],
        request_id=[1, 2, 3, 4],
    )
    with caplog.at_level(logging.WARNING):
        log = read(path, exclude=True)
    assert log.summary == {"rounds": 2, "actions": 3, "reward is no reward": 1, "propensity is no propensity": 1}
    assert [batch.reward.tolist() for batch in log.batches()] == [[1.0, 1.0]]
    assert [batch.request.tolist() for batch in log.batches(1)] == [[0], [1]]
    assert "excluded 2 row(s): 1 (reward is no reward), 1 (propensity is no propensity)" in caplog.text


def test_of_a_request_that_comes_twice_the_first_row_is_kept(tmp_path: Path) -> None:
    log = read(write(tmp_path, request_id=[4, 3, 4, 1]), exclude=True)
    assert log.requests().collect()["request_id"].to_list() == [4, 3, 1]
    assert log.summary["action stands twice for one request"] == 1


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no row is left"):
        read(write(tmp_path, propensity=[0.0] * 4), exclude=True)


def test_a_folder_of_files_is_one_log_and_rows_count_in_their_file(tmp_path: Path) -> None:
    (tmp_path / "part=0").mkdir()
    (tmp_path / "part=1").mkdir()
    write(tmp_path / "part=0", request_id=[1, 2, 3, 4])
    write(tmp_path / "part=1", request_id=[5, 6, 7, 8])
    log = read(tmp_path)
    assert len(log) == 8 and torch.cat([batch.request for batch in log.batches(3)]).tolist() == list(range(8))
    write(tmp_path / "part=1", request_id=[5, 6, 7, 8], propensity=[1.0, 1.0, 0.0, 1.0])
    with pytest.raises(DataError, match=r"part=1/feedback.parquet, row 2 \(from 0\), column 'propensity': 0.0"):
        read(tmp_path)


def test_text_files_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "feedback.csv"
    path.write_text("action,reward,propensity\n3,1,0.5\n2,0,0.25\n")
    [batch] = read(path).batches()
    assert batch.action.tolist() == [1, 0] and batch.propensity is not None
    path.write_text("action,reward,propensity\n3,1,0.5\n2,yes,0.25\n")
    with pytest.raises(DataError, match=r"feedback.csv, row 1 .*'reward': found 'yes', expected numbers"):
        read(path)
