from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import torch

from benchmarks.quality import replay_loop as loop
from recsys.bench.record import record_episode
from recsys.policies.bandits.greedy import Greedy
from recsys.policies.bandits.thompson import InSlateThompson, SlateThompson
from recsys.policies.generative import GenerativePolicy
from recsys.rollouts.episode import EpisodeConfig
from recsys.simulate.click_models import PositionBasedModel
from tests.tiny import tiny_generator


def test_the_truth_is_what_a_policy_earns_at_the_logs_requests() -> None:
    """Against slates and clicks drawn again and again at the same requests."""
    simulator = loop.Watched(
        loop.ITEMS, loop.GROUPS, width=4, choice=PositionBasedModel((1.0, 0.6)), sharpness=2.0, steps=2
    )
    posterior = loop.beliefs(simulator)
    simulator.states = []
    record_episode(simulator, InSlateThompson(posterior), EpisodeConfig(40, 2, loop.SLOTS), seed=0)
    states, generator = list(simulator.states), torch.Generator().manual_seed(0)
    for policy in (Greedy(posterior), SlateThompson(posterior)):
        earned = []
        for state in states:
            context = simulator.observe(state)
            for _ in range(60):
                slates = policy.sample(context, 1, loop.SLOTS, generator)
                earned.append(simulator.step(state, slates, generator)[1].reward.sum((1, 2)))
        drawn = torch.stack(earned).double()
        simulator.states = states
        assert loop.truth(simulator, policy) == pytest.approx(
            float(drawn.mean()), abs=4 * float(drawn.std()) / 4800**0.5
        )


@pytest.mark.slow
def test_intervals_hold_the_truth_where_users_meet_the_assumption() -> None:
    def untrained(simulator: object, folder: Path) -> GenerativePolicy:
        return GenerativePolicy(tiny_generator(dropout=0.0, items=loop.ITEMS))

    found = loop.coverage(PositionBasedModel(loop.EXAMINATION), 3, 40, untrained)
    assert len(found) == 3 * len(loop.ESTIMATORS)
    assert set(found["policy"]) == {"greedy", "slate Thompson", "generative"}
    assert float(found["held"].mean()) > 0.75  # type: ignore[arg-type]
    off = found.filter(pl.col("error").abs() > pl.col("width") + 4 * pl.col("deviation"))
    assert off.is_empty(), "no estimator is off by more than its interval and chance allow"
    assert loop.shown("position-based", found).count("\n") == 1 + len(loop.ESTIMATORS)
