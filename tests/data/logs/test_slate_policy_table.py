from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from recsys.data.logs.feedback_source import ParquetFeedback
from recsys.data.logs.slate_policy_table import SlatePolicyTable, read_slate_policy_table
from recsys.data.logs.slates import SlateFeedbackLog
from recsys.errors import DataError, RequestError

ROUNDS = {"request_id": [8, 3], "slate": [["b", "a"], ["c"]], "reward": [1.0, 0.0]}


@pytest.fixture
def log(tmp_path: Path) -> SlateFeedbackLog:
    pl.DataFrame(ROUNDS).write_parquet(tmp_path / "feedback.parquet")
    found = ParquetFeedback(tmp_path / "feedback.parquet").log()
    assert isinstance(found, SlateFeedbackLog)
    return found


def read(log: SlateFeedbackLog, folder: Path, columns: dict[str, Any]) -> SlatePolicyTable:
    pl.DataFrame(columns).write_parquet(folder / "mine.parquet")
    return read_slate_policy_table(folder / "mine.parquet", log)


def slots(log: SlateFeedbackLog, folder: Path, rows: list[tuple[Any, ...]]) -> SlatePolicyTable:
    table = pl.DataFrame(rows, schema=["request_id", "slot", "action", "probability"], orient="row")
    return read(log, folder, table.to_dict(as_series=False))


def test_logged_slates_under_the_policy(log: SlateFeedbackLog, tmp_path: Path) -> None:
    lists = [[0.5], [0.0, 0.25]]
    table = read(log, tmp_path, {"request_id": [3, 8], "prefix_propensities": lists, "slot_propensities": lists})
    assert table.prefix is not None and table.prefix.tolist() == [[0.0, 0.25], [0.5, 1.0]]
    assert table.slot is not None and table.slot.tolist() == table.prefix.tolist()
    assert table.propensity is not None and table.propensity.tolist() == [0.0, 0.5]
    [batch] = log.batches()
    with pytest.raises(RequestError, match="'mine' has the logged slates only"):
        table.every_slot(batch)
    whole = read(log, tmp_path, {"request_id": [3, 8], "propensity": [0.25, 1.0]})
    assert whole.propensity is not None and whole.propensity.tolist() == [1.0, 0.25] and whole.prefix is None


FACTORISED = [
    (3, 0, "c", 1.0),
    (8, 1, "a", 0.25),
    (8, 0, "b", 0.5),
    (8, 0, "c", 0.5),
    (8, 1, "c", 0.75),
]


def test_a_policy_that_factorises(log: SlateFeedbackLog, tmp_path: Path) -> None:
    table = slots(log, tmp_path, FACTORISED)
    assert table.slot is not None and table.slot.tolist() == [[0.5, 0.25], [1.0, 1.0]]
    assert table.propensity is not None and table.propensity.tolist() == [0.125, 1.0]
    for size in (1, 2):
        whole = torch.cat([table.every_slot(batch) for batch in log.batches(size)])
        assert whole.tolist() == [[[0.0, 0.5, 0.5], [0.25, 0.0, 0.75]], [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]]


def test_a_policy_that_factorises_by_its_logged_items_alone(log: SlateFeedbackLog, tmp_path: Path) -> None:
    table = slots(log, tmp_path, [(3, 0, "c", 0.5), (8, 1, "a", 0.25), (8, 0, "b", 0.5)])
    assert table.propensity is not None and table.propensity.tolist() == [0.125, 0.5] and table.place is None


MALFORMED = {
    "above 1": ([(3, 0, "c", 1.5), *FACTORISED[1:]], r"row 0 .*'probability': 1.5 is no probability"),
    "unknown": ([(3, 0, "x", 1.0), *FACTORISED[1:]], r"row 0 .*'action': x is outside the support, expected an item"),
    "slot": ([(3, 2, "c", 1.0), *FACTORISED[1:]], r"row 0 .*'slot': 2 is no slot of the log"),
    "twice": ([*FACTORISED, (3, 0, "c", 1.0)], r"row 5 .*'action': c stands in the table twice"),
    "sum": ([*FACTORISED[:4], (8, 1, "c", 0.7)], r"row 1 .*the 2 rows of request 8, slot 1, sum to 0.95, expected 1"),
    "slot missing": (FACTORISED[:1] + FACTORISED[2:4], r"lacks a slot of this request: request 8, slate \['b', 'a'\]"),
    "item missing": (
        [(3, 0, "a", 0.5), *FACTORISED[1:]],
        r"lacks the logged item of a slot of this request: req",
    ),
}


@pytest.mark.parametrize(("rows", "message"), MALFORMED.values(), ids=MALFORMED)
def test_bad_tables_of_slots(log: SlateFeedbackLog, tmp_path: Path, rows: list[tuple[Any, ...]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        slots(log, tmp_path, rows)


BAD_SLATES = {
    "missing": ({"request_id": [3], "propensity": [0.5]}, r"no row for this request: request 8, slate \['b', 'a'\]"),
    "twice": ({"request_id": [3, 3], "propensity": [0.5, 0.5]}, r"row 1 .*'request_id': 3 stands in the table twice"),
    "NaN": ({"request_id": [3, 8], "propensity": [0.5, float("nan")]}, r"row 1 .*'propensity': nan is no probability"),
    "length": ({"request_id": [3, 8], "slot_propensities": [[0.5], [0.5]]}, r"has not one number of 'slot_propensit"),
    "in list": ({"request_id": [3, 8], "prefix_propensities": [[2.0], [0.5, 1]]}, r"row 0 .*: \[2.0\] is no probabil"),
    "null list": ({"request_id": [3, 8], "slot_propensities": [[0.5], None]}, r"row 1 .*: None is no probability"),
    "nothing": ({"request_id": [3, 8]}, "needs a column 'propensity' or 'prefix_propensities' or 'slot_propensities'"),
}


@pytest.mark.parametrize(("columns", "message"), BAD_SLATES.values(), ids=BAD_SLATES)
def test_bad_tables_of_slates(log: SlateFeedbackLog, tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(log, tmp_path, columns)
