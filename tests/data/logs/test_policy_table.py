from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from recsys.data.logs.actions import ActionLog
from recsys.data.logs.feedback_source import ParquetFeedback
from recsys.data.logs.policy_table import PolicyTable, read_policy_table
from recsys.errors import DataError, RequestError

ROUNDS = {"request_id": [8, 3, 5], "action": ["b", "a", "c"], "reward": [1.0, 0.0, 1.0], "propensity": [0.5, 0.5, 1.0]}
WHOLE: list[tuple[Any, ...]] = [
    (3, "a", 0.2),
    (3, "b", 0.8),
    (5, "a", 1.0),
    (8, "c", 0.1),
    (8, "b", 0.3),
    (8, "a", 0.6),
]


@pytest.fixture
def log(tmp_path: Path) -> ActionLog:
    pl.DataFrame(ROUNDS).write_parquet(tmp_path / "feedback.parquet")
    found = ParquetFeedback(tmp_path / "feedback.parquet").log()
    assert isinstance(found, ActionLog)
    return found


def read(log: ActionLog, folder: Path, rows: list[tuple[Any, ...]]) -> PolicyTable:
    table = pl.DataFrame(rows, schema=["request_id", "action", "probability"], orient="row")
    table.write_parquet(folder / "mine.parquet")
    return read_policy_table(folder / "mine.parquet", log)


LOGGED = [(8, "b", 0.3), (3, "a", 0.2), (5, "c", 0.0)]


@pytest.mark.parametrize("rows", [LOGGED, LOGGED[::-1], [*LOGGED, (77, "a", 0.5)]], ids=["aligned", "mixed", "more"])
def test_logged_actions_alone_suffice_to_weigh(log: ActionLog, tmp_path: Path, rows: list[tuple[Any, ...]]) -> None:
    table = read(log, tmp_path, rows)
    [batch] = log.batches()
    assert table.name == "mine" and table.target(batch).tolist() == [0.3, 0.2, 0.0]
    assert table.unknown_requests == len(rows) - 3
    with pytest.raises(RequestError, match="'mine' has the logged actions only, and this estimator needs"):
        table.target_all(batch)


def test_all_actions_of_each_request(log: ActionLog, tmp_path: Path) -> None:
    table = read(log, tmp_path, WHOLE)
    whole = torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.8, 0.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    for size in (1, 2, 3):
        batches = list(log.batches(size))
        assert torch.equal(torch.cat([table.target_all(batch) for batch in batches]), whole)
        assert torch.cat([table.target(batch) for batch in batches]).tolist() == [0.3, 0.2, 0.0]


def test_the_fingerprint_follows_table_and_log(log: ActionLog, tmp_path: Path) -> None:
    first = read(log, tmp_path, LOGGED).fingerprint
    assert read(log, tmp_path, LOGGED).fingerprint == first
    assert read(log, tmp_path, [(8, "b", 0.4), *LOGGED[1:]]).fingerprint != first


MALFORMED = {
    "above 1": (
        [(8, "b", 1.5), *LOGGED[1:]],
        r"row 0 .*: 1.5 is no probability, expected one in \[0, 1\]",
    ),
    "below 0": ([*LOGGED[:2], (5, "c", -0.1)], r"row 2 .*'probability': -0.1 is no probability"),
    "NaN": ([(8, "b", float("nan")), *LOGGED[1:]], r"row 0 .*'probability': nan is no probability"),
    "null": ([(8, "b", None), *LOGGED[1:]], r"row 0 .*'probability': None is no probability"),
    "twice": ([*LOGGED, (8, "b", 0.3)], r"row 3 .*'action': b stands in the table twice for one request"),
    "unknown action": ([*LOGGED, (8, "x", 0.7)], r"row 3 .*'action': x is outside the support, expected an action of"),
    "sum": (WHOLE[1:2] + WHOLE[2:] + [(3, "a", 0.2001)], r"row 0 .*the 2 rows of request 3 sum to 1.0001, expected 1"),
    "request missing": (LOGGED[:2], r"no row for this request: request 5, action 'c', which is round 2"),
    "logged action missing": (
        [*LOGGED[:2], (5, "a", 0.9)],
        r"has a row for this request, but none for its logged action: request 5, action 'c'",
    ),
}


@pytest.mark.parametrize(("rows", "message"), MALFORMED.values(), ids=MALFORMED)
def test_bad_tables_are_refused(log: ActionLog, tmp_path: Path, rows: list[tuple[Any, ...]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(log, tmp_path, rows)


@pytest.mark.parametrize(("apart", "good"), [(0.9e-6, True), (1.2e-6, False)])
def test_sums_are_1_within_a_millionth(log: ActionLog, tmp_path: Path, apart: float, good: bool) -> None:
    rows = [(3, "a", 0.2 + apart), *WHOLE[1:]]
    if good:
        read(log, tmp_path, rows)
        return
    with pytest.raises(DataError, match="rows of request 3 sum to"):
        read(log, tmp_path, rows)


def test_ids_of_another_type(log: ActionLog, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'request_id' is String here and Int64 in the log"):
        read(log, tmp_path, [("8", "b", 0.3)])


def test_a_log_without_requests_cannot_be_joined(tmp_path: Path) -> None:
    path = tmp_path / "plain.parquet"
    pl.DataFrame({"action": ["a"], "reward": [1.0]}).write_parquet(path)
    log = ParquetFeedback(path).log()
    assert isinstance(log, ActionLog)
    with pytest.raises(RequestError, match="no column 'request_id' to join"):
        read(log, tmp_path, LOGGED)
