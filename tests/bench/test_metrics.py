from __future__ import annotations

import pytest
import torch

from recsys.bench.metrics import coverage, curve, latency, per_step, results, user_metrics
from recsys.bench.record import EpisodeRecord


def played(
    rewards: list[list[list[float]]], active: list[list[float]] | None = None, seconds: float = 0.0
) -> EpisodeRecord:
    """From rewards by step, user, slot; item `s` stands in slot `s`."""
    reward = torch.tensor(rewards)
    items = torch.arange(reward.shape[2]).expand(reward.shape)
    there = torch.ones(reward.shape[:2]) if active is None else torch.tensor(active)
    return EpisodeRecord(items, torch.zeros(reward.shape), reward, there, 2 * torch.ones(reward.shape[:2]), seconds)


TWO_STEPS = [[[4.0, 0.0], [0.0, 0.0]], [[0.0, 3.0], [0.0, 1.0]]]


def test_a_users_figures_are_of_the_session() -> None:
    figures = user_metrics([played(TWO_STEPS, active=[[1.0, 1.0], [1.0, 0.0]])])
    assert {name: value.flatten().tolist() for name, value in figures.items()} == {
        "reward": [7.0, 1.0],
        "click_rate": [1.0, 1.0],
        "diversity": [2.0, 2.0],
        "steps": [2.0, 1.0],
    }


def test_regret_and_differences_are_of_the_same_users() -> None:
    poor = [[[0.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [0.0, 0.0]]]
    games = {"oracle": [played(TWO_STEPS)] * 2, "random": [played(poor)] * 2}
    table = results(games, num_items=4, references=["random"])
    assert table["random"]["regret"]["value"] == pytest.approx((6 + 1) / 2)
    assert table["oracle"]["regret"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert table["oracle"]["reward_minus_random"]["value"] == pytest.approx(3.5)
    assert table["oracle"]["click_rate_minus_random"]["value"] == pytest.approx((0.5 + 0.5) / 2)
    assert "reward_minus_random" not in table["random"]
    assert table["random"]["coverage"] == {"value": 0.5, "low": None, "high": None}


def test_without_an_oracle_there_is_no_regret() -> None:
    assert "regret" not in results({"random": [played(TWO_STEPS)]}, 2)["random"]


def test_intervals_widen_with_what_seeds_differ_by() -> None:
    """All users of a seed earn alike: users alone would leave no doubt."""
    seeds = [played([[[float(seed)]] * 50]) for seed in range(5)]
    alike = [played([[[2.0]] * 50]) for _ in range(5)]
    table = results({"differs": seeds, "alike": alike}, 1)
    assert table["differs"]["reward"]["high"] - table["differs"]["reward"]["low"] > 1
    assert table["alike"]["reward"] == {"value": 2.0, "low": 2.0, "high": 2.0}


def test_latency_is_milliseconds_a_slate_and_coverage_a_share() -> None:
    game = played(TWO_STEPS, seconds=0.008)
    assert latency([game]) == pytest.approx(2.0)
    assert coverage([game, game], 8) == 0.25


def test_curves_add_up_rewards_and_count_those_still_there() -> None:
    parts = per_step([played(TWO_STEPS, active=[[1.0, 1.0], [0.0, 1.0]])])
    assert parts["reward"].tolist() == [[2.0, 4.0]]
    assert parts["click_rate"].tolist() == [[0.5, 2.0]]


def test_a_click_rate_of_hardly_anyone_is_not_drawn() -> None:
    rewards = [[[1.0]] * 40]
    one, three = ([[1.0] * left + [0.0] * (40 - left)] for left in (1, 3))
    assert per_step([played(rewards, one)])["click_rate"].isnan().all()
    assert not per_step([played(rewards, three)])["click_rate"].isnan().any()


def test_a_band_is_students_interval_over_seeds() -> None:
    drawn = curve(torch.tensor([[1.0], [2.0], [3.0]]))
    half = 4.302653 / 3**0.5
    assert drawn.low is not None and drawn.high is not None
    assert drawn.value == [2.0]
    assert [drawn.low[0], drawn.high[0]] == pytest.approx([2 - half, 2 + half], abs=1e-5)
