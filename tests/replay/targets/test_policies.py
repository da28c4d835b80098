from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import torch

from recsys.data.logs.actions import ActionLog
from recsys.data.logs.episodes import EpisodeLog
from recsys.data.logs.feedback_source import ParquetFeedback
from recsys.data.logs.slates import SlateFeedbackLog
from recsys.data.sources.open_bandit import OpenBandit
from recsys.errors import DataError, RequestError
from recsys.policies.bandits.greedy import EpsilonGreedy, UniformPolicy
from recsys.replay.episodes.fitted_models import EpisodeJoin
from recsys.replay.slates.distribution_methods import EnumeratedSlates
from recsys.replay.targets import policies as named
from recsys.replay.targets.actions import TargetPolicy
from recsys.replay.targets.policies import (
    BernoulliThompsonTarget,
    FromPolicy,
    TableTarget,
    TrainedPolicy,
    UniformTarget,
)
from tests.replay.feedback_files import action_table, open_bandit, policy_table, slate_table, trajectories, written


def actions(folder: Path) -> ActionLog:
    log = ParquetFeedback(written(action_table(60), folder / "actions.parquet")).log()
    assert isinstance(log, ActionLog)
    return log


def slates(folder: Path, users: bool = True) -> SlateFeedbackLog:
    log = ParquetFeedback(written(slate_table(60, users=users), folder / "slates.parquet")).log()
    assert isinstance(log, SlateFeedbackLog)
    return log


def test_uniform_takes_any_action_and_any_slate(tmp_path: Path) -> None:
    log = actions(tmp_path)
    [batch] = log.batches()
    target = UniformTarget()(log)
    assert isinstance(target, TargetPolicy) and target.target(batch).tolist() == pytest.approx([1 / 3] * 60)
    for users in (True, False):  # without users the log says nothing of its requests
        log = slates(tmp_path, users)
        [shown] = log.batches()
        rounds = UniformTarget()(log)(shown)
        assert torch.allclose(rounds.need("target_prefix"), torch.tensor([1 / 4, 1 / 3]).double(), atol=1e-6)
        assert torch.allclose(rounds.need("target_at"), torch.full((60, 2, 2), 0.25).double())


def test_a_table_says_the_same_of_actions_and_of_steps(tmp_path: Path) -> None:
    log = actions(tmp_path)
    [batch] = log.batches()
    chances = torch.tensor([0.2, 0.3, 0.5]).double()
    path = written(policy_table(action_table(60), chances.tolist()), tmp_path / "table.parquet")
    target = TableTarget(path)(log)
    assert torch.allclose(target.target(batch), chances[batch.action])
    assert torch.allclose(target.target_all(batch), chances.expand(60, -1))
    table = trajectories(40)
    episodes = ParquetFeedback(written(table, tmp_path / "episodes.parquet")).log()
    assert isinstance(episodes, EpisodeLog)
    steps = table.select("request_id", "action", probability=pl.col("request_id") / 1000)
    beside = EpisodeJoin(episodes, TableTarget(written(steps, tmp_path / "steps.parquet"))(episodes))
    seen = [beside(one) for one in episodes.batches(7)]
    found = torch.cat([one.target[one.mask] for one in seen])
    assert torch.allclose(found, torch.arange(len(table)).double() / 1000, atol=1e-12), "each step has its own row"


def test_a_table_of_steps_needs_a_name_for_each(tmp_path: Path) -> None:
    path = written(trajectories(40).drop("request_id"), tmp_path / "episodes.parquet")
    table = written(policy_table(action_table(60), [0.2, 0.3, 0.5]), tmp_path / "table.parquet")
    with pytest.raises(RequestError, match="no column 'request_id' to join"):
        TableTarget(table)(ParquetFeedback(path).log())


def test_a_table_whose_probabilities_do_not_sum_to_one_is_refused(tmp_path: Path) -> None:
    path = written(policy_table(action_table(60), [0.2, 0.3, 0.4]), tmp_path / "table.parquet")
    with pytest.raises(DataError, match=r"table.parquet, row 0 .* sum to 0.9, expected 1"):
        TableTarget(path)(actions(tmp_path))


def test_a_table_of_slates_is_put_beside_them(tmp_path: Path) -> None:
    log = slates(tmp_path)
    table = slate_table(60).select("request_id", propensity=pl.lit(1 / 6), prefix_propensities=[1 / 3, 1 / 2])
    beside = TableTarget(written(table, tmp_path / "table.parquet"))(log)
    [batch] = log.batches()
    assert beside(batch).slate_ratio.tolist() == pytest.approx([2.0] * 60)


def test_policies_of_the_house_act_in_the_logs_items(tmp_path: Path) -> None:
    log = actions(tmp_path)
    [batch] = log.batches()
    best = EpsilonGreedy(UniformPolicy(3).scorer, epsilon=0.3)
    target = FromPolicy(best)(log)
    shares = target.target_all(batch)[0].sort().values  # which of the equal items is best, is fixed by a hash
    assert torch.allclose(shares, torch.tensor([0.1, 0.1, 0.8]).double(), atol=1e-6)
    shown = slates(tmp_path)
    [batch] = shown.batches()
    rounds = FromPolicy(UniformPolicy(4), EnumeratedSlates(4))(shown)(batch)
    assert torch.allclose(rounds.need("target_at"), torch.full((60, 2, 2), 0.25).double(), atol=1e-6)


def test_bernoulli_thompson_is_the_average_of_its_own_log(tmp_path: Path) -> None:
    root = open_bandit(tmp_path)
    target = BernoulliThompsonTarget("men", root)(OpenBandit("random", "men", root).log())
    own = pl.read_csv(root / "bts/men/men.csv").filter(pl.col("position") == 1)["item_id"]
    assert target.probability[2, 0].item() == pytest.approx((own == 2).mean())


def test_a_run_is_asked_in_the_raw_ids_of_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def from_run(run: str, ids: list, training: str | None = None) -> UniformPolicy:
        asked.append((run, ids, training))
        return UniformPolicy(len(ids))

    monkeypatch.setattr(named.RemappedPolicy, "from_run", from_run)
    log = actions(tmp_path)
    [batch] = log.batches()
    assert TrainedPolicy("runs/a", "sft")(log).target(batch).tolist() == pytest.approx([1 / 3] * 60)
    shown = slates(tmp_path)
    [batch] = shown.batches()
    assert TrainedPolicy("runs/a")(shown)(batch).need("target_prefix")[0].tolist() == pytest.approx([1 / 4, 1 / 3])
    assert asked == [("runs/a", [0, 1, 2], "sft"), ("runs/a", [0, 1, 2, 3], None)]
