from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch

from recsys.bench.metrics import coverage, curve, identification, latency, per_step, results, user_metrics
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


NEW = [[[0.2, 0.8], [0.9, 0.5]], [[0.6, 0.0], [1.9, 1.9]]]
"""Novelty by step, user, slot, beside `TWO_STEPS`."""


def told(novelty: list[list[list[float]]] = NEW, **parts: torch.Tensor) -> EpisodeRecord:
    record = replace(played(TWO_STEPS, active=[[1.0, 1.0], [1.0, 0.0]]), novelty=torch.tensor(novelty))
    return replace(record, **parts)  # type: ignore[arg-type]


def figure(record: EpisodeRecord, name: str, threshold: float = 0.5) -> list[float]:
    return user_metrics([record], threshold)[name].flatten().tolist()


def test_novelty_is_the_mean_of_a_slate_and_then_of_a_users_slates() -> None:
    """The second user's session is over after one slate: what stands behind it does not count."""
    assert figure(told(), "novelty") == pytest.approx([(0.5 + 0.3) / 2, 0.7])


def test_empty_slots_have_no_novelty_and_an_empty_slate_counts_as_0() -> None:
    items = torch.tensor([[[0, -1], [-1, -1]], [[0, 1], [-1, -1]]])
    assert figure(told(items=items), "novelty") == pytest.approx([(0.2 + 0.3) / 2, 0.0])


def test_serendipity_is_the_share_of_slates_with_an_item_that_is_new_and_consumed() -> None:
    """The first user consumed items of novelty .2 and 0, the second one that no longer counts, or nothing."""
    assert figure(told(), "serendipity") == [0.0, 0.0]
    assert figure(told(), "serendipity", 0.2) == [0.5, 0.0]
    assert figure(told(), "serendipity", 0.0) == [1.0, 0.0]
    both = told([[[0.5, 0.9], [0.9, 0.5]], [[0.6, 0.7], [0.0, 0.0]]])
    assert figure(both, "serendipity", 0.5) == [1.0, 0.0], "an item at the threshold is new"
    assert figure(both, "serendipity", 0.51) == [0.5, 0.0]


def test_a_session_that_is_over_at_once_has_no_novelty() -> None:
    over = told(active=torch.zeros(2, 2), reward=torch.zeros(2, 2, 2), items=torch.full((2, 2, 2), -1))
    assert figure(over, "novelty") == figure(over, "serendipity") == [0.0, 0.0]


def test_simulators_that_do_not_tell_novelty_have_no_such_figures() -> None:
    plain = played(TWO_STEPS)
    assert set(user_metrics([plain])) == {"reward", "click_rate", "diversity", "steps"}
    cells = results({"random": [told(), told()]}, 4, novelty_threshold=0.2)["random"]
    assert cells["serendipity"]["value"] == pytest.approx(0.25)
    assert cells["novelty"]["value"] == pytest.approx((0.4 + 0.7) / 2)


Numbers = Mapping[str, list[list[float]]]


def inferring(latents: Numbers, truth: Numbers, active: list[list[float]] | None = None) -> EpisodeRecord:
    """Latent actions and hidden numbers by step and user."""
    sizes = next(iter(truth.values()))
    inferred, true = ({name: torch.tensor(one) for name, one in part.items()} for part in (latents, truth))
    return replace(played([[[0.0]] * len(sizes[0])] * len(sizes), active), latents=inferred, truth=true)


def test_a_latent_action_is_correlated_with_the_truth_over_sessions_that_go_on() -> None:
    """By hand: of (1, 1), (2, 3), (3, 2) deviations are (−1, −1), (0, 1), (1, 0), so that r = 1 / √(2 · 2)."""
    record = inferring(
        {"mood": [[1.0, 2.0], [3.0, -99.0]]}, {"mood": [[1.0, 3.0], [2.0, 50.0]]}, [[1.0, 1.0], [1.0, 0.0]]
    )
    cells = identification([record])
    assert set(cells) == {"mood_correlation"}
    assert cells["mood_correlation"].value == pytest.approx(0.5)
    table = results({"two": [record], "random": [played([[[0.0]] * 2] * 2)]}, 1)
    assert table["two"]["mood_correlation"]["value"] == pytest.approx(0.5)
    assert "mood_correlation" not in table["random"]


def test_all_seeds_are_one_correlation() -> None:
    """Each seed alone has one value of the truth, and no correlation; both together have."""
    seeds = [inferring({"mood": [[0.0 + at, 1.0 + at]]}, {"mood": [[at, at]]}) for at in (0.0, 1.0)]
    assert identification(seeds[:1]) == {}
    # (0, 0), (1, 0), (1, 1), (2, 1): Σ = 1 · ½ · 2 = 1, over √(2 · 1)
    assert identification(seeds)["mood_correlation"].value == pytest.approx(1 / 2**0.5)


@pytest.mark.parametrize("constant", ["latents", "truth"])
def test_of_constant_values_there_is_no_correlation(constant: str) -> None:
    numbers = {"latents": {"mood": [[1.0, 2.0, 3.0]]}, "truth": {"mood": [[3.0, 1.0, 2.0]]}}
    assert identification([inferring(**numbers)])
    assert identification([inferring(**{**numbers, constant: {"mood": [[0.1, 0.1, 0.1]]}})]) == {}
