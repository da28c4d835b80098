from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import torch

from recsys.data.logs.actions import ActionLog
from recsys.data.logs.feedback_source import ParquetFeedback
from recsys.errors import RequestError
from recsys.replay.batch import in_half
from recsys.replay.targets.actions import TargetPolicy
from recsys.replay.targets.policies import PopularityTarget
from tests.replay.feedback_files import slate_table, written


def log(folder: Path, **columns: list) -> ActionLog:
    table = pl.DataFrame({"action": [0, 1, 2, 0] * 3, "reward": [1.0, 0.0, 3.0, -5.0] * 3, **columns})
    table.with_columns(propensity=0.5).write_parquet(folder / "log.parquet")
    found = ParquetFeedback(folder / "log.parquet").log()
    assert isinstance(found, ActionLog)
    return found


def test_a_round_judges_what_the_other_half_made(tmp_path: Path) -> None:
    own = log(tmp_path)
    [batch] = own.batches()
    target = PopularityTarget()(own)
    assert isinstance(target, TargetPolicy)
    found = target.target_all(batch)
    for row in range(12):
        other = in_half(batch.request, 0) != in_half(batch.request, 0)[row]
        earned = [float(batch.reward[other & (batch.action == action)].sum()) for action in range(3)]
        liked = torch.tensor([1 + max(0.0, one) for one in earned], dtype=torch.float64)
        assert torch.allclose(found[row], liked / liked.sum())
    assert torch.equal(target.target(batch), found[torch.arange(12), batch.action])


def test_users_are_not_divided_and_what_was_not_offered_is_not_taken(tmp_path: Path) -> None:
    users = [place // 3 for place in range(12)]
    own = log(tmp_path, user_id=users, candidates=[[0, 1, 2], [1], [2, 0], [0]] * 3)
    [batch] = own.batches()
    found = PopularityTarget()(own).target_all(batch)
    assert torch.allclose(found.sum(1), torch.ones(12, dtype=torch.float64))
    assert found[1].tolist() == [0.0, 1.0, 0.0]
    whole = found[[0, 4, 8]]
    halves = in_half(torch.tensor(users), 0)[[0, 4, 8]]
    assert torch.equal(whole[0], whole[1]) == bool(halves[0] == halves[1])


def test_slates_have_no_such_policy(tmp_path: Path) -> None:
    slates = ParquetFeedback(written(slate_table(20), tmp_path / "slates.parquet")).log()
    with pytest.raises(RequestError, match="the popularity policy is for logs of single actions"):
        PopularityTarget()(slates)
