from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import torch

from recsys.data.parquet_feedback import ParquetFeedback
from recsys.data.slate_feedback import SlateFeedback
from recsys.data.slate_policy_table import read_slate_policy_table
from recsys.errors import RequestError
from recsys.policies.greedy import Uniform
from recsys.replay.slates.importance import SlateIPS
from recsys.replay.slates.laws import ArrivalTimes
from recsys.replay.slates.table import TableBeside
from recsys.replay.slates.target import SlateTarget
from recsys.replay.slates.weights import PositionBased, Slot
from tests.replay.feedback_files import written

CHANCES = [[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]
"""Of each of three items at either slot."""


@pytest.fixture
def log(tmp_path: Path) -> SlateFeedback:
    table = pl.DataFrame(
        {
            "request_id": [0, 1, 2],
            "slate": [[0, 2], [1, 0], [2]],
            "rewards": [[1.0, 0.0], [0.0, 2.0], [3.0]],
            "propensity": [1 / 6, 1 / 6, 1 / 3],
        }
    )
    found = ParquetFeedback(written(table, tmp_path / "log.parquet")).log()
    assert isinstance(found, SlateFeedback)
    return found


def beside(log: SlateFeedback, folder: Path) -> TableBeside:
    rows = [
        (request, slot, item, CHANCES[slot][item])
        for request, size in ((0, 2), (1, 2), (2, 1))
        for slot in range(size)
        for item in range(3)
    ]
    table = pl.DataFrame(rows, schema=["request_id", "slot", "action", "probability"], orient="row")
    return TableBeside(read_slate_policy_table(written(table, folder / "table.parquet"), log))


def test_a_policy_that_fills_slots_independently_says_all_of_them(log: SlateFeedback, tmp_path: Path) -> None:
    [batch] = log.batches()
    rounds = beside(log, tmp_path)(batch)
    assert rounds.need("target").tolist() == pytest.approx([0.5 * 0.7, 0.25 * 0.1, 0.25])
    assert rounds.need("target_slot").tolist() == [[0.5, 0.7], [0.25, 0.1], [0.25, 1.0]]
    at = rounds.need("target_at")
    assert at[0].tolist() == [[0.5, 0.1], [0.25, 0.7]], "item 0 at either slot, then item 2"
    assert at[2].tolist() == [[0.25, 1.0], [1.0, 1.0]], "1 where a slot is empty"
    assert beside(log, tmp_path).next_probability(batch)[0].tolist() == CHANCES


def test_who_wrote_the_log_completes_it(log: SlateFeedback, tmp_path: Path) -> None:
    [batch] = log.batches()
    table = beside(log, tmp_path)
    with pytest.raises(RequestError, match=r"slot_propensities.*under the logging policy.*log\.logging"):
        SlateIPS(Slot()).terms(table(batch))
    known = table.written_by(SlateTarget(Uniform(3), ArrivalTimes(), num_items=3))
    assert Slot()(known(batch))[:2].flatten().tolist() == pytest.approx([1.5, 2.1, 0.75, 0.3])
    even = PositionBased((1.0, 1.0))(known(batch))
    assert even[0].tolist() == pytest.approx([(0.5 + 0.1) / (2 / 3), (0.25 + 0.7) / (2 / 3)])


def test_a_table_of_logged_slates_says_what_it_has(log: SlateFeedback, tmp_path: Path) -> None:
    [batch] = log.batches()
    table = pl.DataFrame({"request_id": [0, 1, 2], "propensity": [0.25, 0.5, 0.125]})
    made = TableBeside(read_slate_policy_table(written(table, tmp_path / "whole.parquet"), log))
    rounds = made(batch)
    assert torch.allclose(rounds.whole, torch.tensor([1.5, 3.0, 0.375]).double())
    assert rounds.target_prefix is None and rounds.target_at is None
    with pytest.raises(RequestError, match="every item at every slot"):
        made.next_probability(batch)
