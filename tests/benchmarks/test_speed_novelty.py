"""The benchmark of novelty-seeking users at the least sizes: every line is of the work that it names."""

from __future__ import annotations

import torch

from recsys.rollouts.episode import EpisodeConfig
from tests.benchmarks.test_speed_sessions import load

__all__ = ["load"]


def test_every_line_is_a_rate_of_what_it_names(load) -> None:
    benchmark = load("novelty")
    sizes = benchmark.Sizes(items=20, episode=EpisodeConfig(6, 5, 2), batch=4, passes=1, stride=2)
    results = benchmark.measured(sizes, rounds=1)
    assert [result.case.split(",")[0] for result in results] == ["random slates", "two levels play", "two levels learn"]
    assert all(result.value > 0 for result in results)
    assert [result.goal for result in results] == [None, None, benchmark.GOAL]


def test_an_epoch_of_learning_moves_the_agent(load) -> None:
    benchmark = load("novelty")
    sizes = benchmark.Sizes(items=20, episode=EpisodeConfig(6, 5, 2), batch=4, passes=1, stride=2)
    world = benchmark.NoveltySeeking(20)
    system = benchmark.agent(world, 2)
    before = [one.clone() for one in system.policy.parameters()]
    benchmark.learned(world, system, sizes)
    assert any(not torch.equal(one, other) for one, other in zip(before, system.policy.parameters(), strict=True))
