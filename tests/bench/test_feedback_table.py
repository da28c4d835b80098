from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import torch

from recsys.bench.feedback_table import feedback_table
from recsys.bench.record import EpisodeRecord, record_episode
from recsys.data.logs.feedback_source import ParquetFeedback
from recsys.data.logs.slates import SlateFeedbackLog
from recsys.policies.bandits.greedy import EpsilonGreedy
from recsys.policies.bandits.posteriors import BetaPosterior
from recsys.rollouts.episode import EpisodeConfig
from recsys.simulate.planted_groups import PlantedGroups


def test_slates_of_sessions_with_their_propensities() -> None:
    played = EpisodeRecord(
        items=torch.tensor([[[3, 1], [2, -1]], [[0, 1], [1, 2]]]),
        log_prob=torch.tensor([[[0.5, 0.25], [0.2, 0.0]], [[1.0, 1.0], [0.5, 0.5]]]).log(),
        reward=torch.tensor([[[0.0, 1.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]),
        active=torch.tensor([[1.0, 1.0], [0.0, 1.0]]),
        diversity=torch.zeros(2, 2),
        seconds=0.0,
    )
    table = feedback_table("mine", 3, played)
    assert table["slate"].to_list() == [[3, 1], [2], [1, 2]]
    assert table["rewards"].to_list() == [[0.0, 1.0], [1.0], [0.0, 0.0]]
    assert (table["user_id"].to_list(), table["timestamp"].to_list()) == ([6, 7, 7], [0, 0, 1])
    assert [round(value, 6) for value in table["propensity"]] == [0.125, 0.2, 0.25]
    assert table["request_id"].to_list() == ["mine/3/0/6", "mine/3/0/7", "mine/3/1/7"]
    assert set(table["policy"]) == {"mine"}


def test_a_played_log_has_whole_propensities() -> None:
    simulator = PlantedGroups(num_items=12, groups=3, width=3, steps=3)
    played = record_episode(simulator, EpsilonGreedy(BetaPosterior(12), 0.5), EpisodeConfig(8, 5, 2), seed=0)
    table = feedback_table("thompson", 0, played)
    assert len(table) == 8 * 3
    assert table["request_id"].n_unique() == len(table)
    for whole, parts in zip(table["propensity"], table["prefix_propensities"], strict=True):
        assert 0 < whole <= 1
        assert math.isclose(whole, math.prod(parts), rel_tol=1e-5)


def test_a_played_log_can_be_replayed(tmp_path: Path) -> None:
    simulator = PlantedGroups(num_items=12, groups=3, width=3, steps=3)
    played = record_episode(simulator, EpsilonGreedy(BetaPosterior(12), 0.5), EpisodeConfig(8, 5, 2), seed=0)
    feedback_table("thompson", 0, played).write_parquet(tmp_path / "feedback.parquet")
    log = ParquetFeedback(tmp_path / "feedback.parquet").log()
    assert isinstance(log, SlateFeedbackLog)
    assert (len(log), log.slots, log.users is not None and len(log.users)) == (24, 2, 8)
    [batch] = log.batches()
    raw = torch.from_numpy(log.items["item_id"].to_numpy().copy())
    assert torch.equal(raw[batch.items], played.items[played.active > 0])
    assert batch.prefix is not None and batch.propensity is not None
    assert torch.allclose(batch.prefix.log(), played.log_prob[played.active > 0].double(), atol=1e-6)
    assert float(batch.reward.sum()) == float((played.reward * played.active.unsqueeze(-1)).sum())


def test_a_slate_of_many_slots_is_never_impossible() -> None:
    simulator = PlantedGroups(num_items=12, groups=3, width=3, steps=3)
    played = record_episode(simulator, EpsilonGreedy(BetaPosterior(12), 0.5), EpisodeConfig(2, 1, 2), seed=0)
    unlikely = replace(played, log_prob=torch.full_like(played.log_prob, -80.0))
    table = feedback_table("thompson", 0, unlikely)
    assert [math.log(whole) for whole in table["propensity"]] == [-160.0] * 2


def test_slot_propensities_where_they_were_estimated() -> None:
    simulator = PlantedGroups(num_items=12, groups=3, width=3, steps=3)
    played = record_episode(simulator, EpsilonGreedy(BetaPosterior(12), 0.5), EpisodeConfig(8, 3, 2), 0, slot_draws=20)
    table = feedback_table("thompson", 0, played)
    assert "slot_propensities" not in feedback_table("thompson", 0, replace(played, slot_propensity=None)).columns
    shares = torch.tensor(table["slot_propensities"].to_list(), dtype=torch.float64)
    assert shares.shape == (24, 2)
    assert torch.allclose(shares * 21, (shares * 21).round(), atol=1e-4)
    assert played.slot_propensity is not None
    assert torch.allclose(shares.view(3, 8, 2), played.slot_propensity.double())
