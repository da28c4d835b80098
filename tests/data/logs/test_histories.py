from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import torch

from recsys.data.logs.feedback_source import ParquetFeedback
from recsys.data.logs.histories import Histories
from recsys.data.logs.slates import SlateFeedbackLog
from recsys.errors import RequestError


def rows(jagged: object) -> list[list[int]]:
    return [row.tolist() for row in jagged.values.split(jagged.lengths.tolist())]  # type: ignore[attr-defined]


def test_what_was_taken_before_whatever_the_order_of_rows() -> None:
    user = torch.tensor([1, 0, 1, 1])
    time = torch.tensor([9, 0, 4, 7])
    items = torch.tensor([[5, 6], [7, -1], [8, 9], [3, 4]])
    reward = torch.tensor([[1.0, 1.0], [1.0, 1.0], [0.0, 2.0], [0.5, 0.5]])
    found = Histories.from_requests(user, time, items, reward)
    assert rows(found.at(torch.arange(4))) == [[9, 3, 4], [], [], [9]]
    assert rows(found.at(torch.tensor([3, 0]))) == [[9], [9, 3, 4]]


def test_a_log_of_slates_knows_them_in_every_batch(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {
            "request_id": range(6),
            "user_id": [4, 4, 2, 4, 2, 2],
            "timestamp": [0, 1, 0, 2, 5, 3],
            "slate": [[10, 20], [20, 30], [10], [30], [20], [30]],
            "rewards": [[0.0, 1.0], [1.0, 1.0], [1.0], [0.0], [1.0], [0.0]],
            "propensity": [0.5] * 6,
        }
    )
    table.write_parquet(tmp_path / "log.parquet")
    log = ParquetFeedback(tmp_path / "log.parquet", histories=True).log()
    assert isinstance(log, SlateFeedbackLog)
    whole, cut = ([batch.context.history for batch in log.batches(size)] for size in (100, 4))  # type: ignore[union-attr]
    expected = [[], [1], [], [1, 1, 2], [0], [0]]
    assert rows(whole[0]) == expected
    assert [row for part in cut for row in rows(part)] == expected
    table.drop("timestamp").write_parquet(tmp_path / "timeless.parquet")
    with pytest.raises(RequestError, match="timeless: no column 'timestamp', without which the log has no histories"):
        ParquetFeedback(tmp_path / "timeless.parquet", histories=True).log()
