from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import torch

from recsys.data.logs.actions import ActionLog
from recsys.data.logs.feedback_source import ParquetFeedback
from recsys.errors import RequestError
from recsys.replay.targets.actions import TargetPolicy
from recsys.replay.targets.open_bandit import PositionPolicy, average_policy, positions

PLACES = [0, 2, 0, 0, 1]


def log(folder: Path, **columns: list) -> ActionLog:
    path = folder / "log.parquet"
    pl.DataFrame({"action": [2, 0, 2, 1, 1], "reward": [0.0] * 5, **columns}).write_parquet(path)
    found = ParquetFeedback(path).log()
    assert isinstance(found, ActionLog)
    return found


def placed(folder: Path) -> ActionLog:
    return log(folder, context=[[float(place == one) for one in range(3)] + [7.0] for place in PLACES])


def test_the_average_policy_is_the_share_of_each_item_at_its_position(tmp_path: Path) -> None:
    own = placed(tmp_path)
    shares = average_policy(own)
    assert shares.tolist() == [[0, 0, 1], [1 / 3, 1, 0], [2 / 3, 0, 0]]
    policy = PositionPolicy("bernoulli_ts", shares)
    assert isinstance(policy, TargetPolicy)
    [batch] = own.batches()
    assert positions(batch, 3).tolist() == PLACES
    assert policy.target(batch).tolist() == [2 / 3, 1, 2 / 3, 1 / 3, 1]
    assert torch.equal(policy.target_all(batch)[0], shares[:, 0])
    assert torch.allclose(policy.target_all(batch).sum(1), torch.ones(5, dtype=torch.float64))


@pytest.mark.parametrize("context", [None, [[1.0, 0.0]] * 5, [[0.5, 0.5, 0.0]] * 5], ids=["none", "short", "shares"])
def test_a_log_without_positions_has_no_such_policy(tmp_path: Path, context: list | None) -> None:
    own = log(tmp_path, **({} if context is None else {"context": context}))
    with pytest.raises(RequestError, match="does not begin with 3 numbers that say which position"):
        average_policy(own)
