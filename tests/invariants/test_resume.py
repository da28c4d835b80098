"""A training that was interrupted and resumed leaves what an uninterrupted one does, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from recsys.models.generators.generator import Generator
from recsys.objectives.expected_reward import without_replacement
from recsys.objectives.group_relative import grpo
from recsys.objectives.likelihood import legal_set_cross_entropy
from recsys.rewards.combined import WeightedSum
from recsys.rewards.rank import RankingReward
from recsys.rewards.reward import HitReward
from recsys.systems.group_policy_optimisation import GroupPolicyOptimisation
from recsys.systems.group_sampling import IndependentSampler, StochasticBeamSampler
from recsys.systems.reference_policy import EpochReference, FrozenReference, MovingAverageReference, ReferencePolicy
from recsys.systems.sequential import SequentialSystem
from recsys.systems.supervised import SupervisedSystem
from recsys.training.fit import Schedule
from tests.fitting import ADAM, LOADER, interrupted_fit, quick_fit, same_weights
from tests.tiny import tiny_dataset, tiny_generator

pytestmark = pytest.mark.usefixtures("ctrl_c")


def next_item() -> SequentialSystem:
    return SupervisedSystem(tiny_generator(), legal_set_cross_entropy, ADAM, warmup_steps=5)


def standing_still() -> SequentialSystem:
    """No validation improves on the first."""
    return SupervisedSystem(tiny_generator(), legal_set_cross_entropy, partial(torch.optim.AdamW, lr=0.0))


def rere(
    inner_steps: int = 1, reference: Callable[[Generator[Any, Any]], ReferencePolicy] = EpochReference
) -> SequentialSystem:
    sampler = IndependentSampler(4) if inner_steps > 1 else StochasticBeamSampler(4)
    objective = partial(grpo, kl_weight=0.1) if inner_steps > 1 else without_replacement
    reward = WeightedSum({"hit": HitReward(), "ranking": RankingReward()}, {"hit": 1.0, "ranking": 1.0})
    return GroupPolicyOptimisation(
        tiny_generator(), sampler, reward, objective, ADAM,
        inner_steps=inner_steps, reference=reference, warmup_steps=5,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("make", "schedule", "after"),
    [
        (next_item, Schedule(max_epochs=3), 11),
        (next_item, Schedule(max_epochs=3, validate_every=4), 11),
        (next_item, Schedule(max_epochs=3, accumulate=2, validate_every=2), 11),
        (rere, Schedule(max_epochs=2), 8),
        (partial(rere, inner_steps=2, reference=MovingAverageReference), Schedule(max_epochs=2), 17),
        (partial(rere, inner_steps=2, reference=FrozenReference), Schedule(max_epochs=1, validate_every=3), 5),
    ],
    ids=["epochs", "steps", "accumulated", "rere", "inner steps", "between inner steps"],
)
def test_resumed_equals_uninterrupted(
    make: Callable[[], SequentialSystem], schedule: Schedule, after: int, tmp_path: Path
) -> None:
    whole, resumed = make(), make()
    expected = quick_fit(whole, tmp_path / "whole", schedule)
    interrupted_fit(make(), tmp_path / "resumed", schedule, after)
    found = quick_fit(resumed, tmp_path / "resumed", schedule, seed=9)
    assert found.history.equals(expected.history)
    assert found.score == expected.score
    assert same_weights(resumed, whole)
    last = [torch.load(tmp_path / one / "last.ckpt", weights_only=True) for one in ("whole", "resumed")]
    for name, value in last[0]["current_model_state"].items():
        assert torch.equal(value, last[1]["current_model_state"][name]), name


def test_interrupted_twice(tmp_path: Path) -> None:
    whole, resumed, schedule = next_item(), next_item(), Schedule(max_epochs=3)
    expected = quick_fit(whole, tmp_path / "whole", schedule)
    interrupted_fit(next_item(), tmp_path / "resumed", schedule, 7)
    interrupted_fit(next_item(), tmp_path / "resumed", schedule, 8)
    assert quick_fit(resumed, tmp_path / "resumed", schedule).history.equals(expected.history)
    assert same_weights(resumed, whole)


@pytest.mark.parametrize(("make", "ended"), [(next_item, 12), (standing_still, 18)], ids=["epochs", "patience"])
def test_a_training_that_has_ended_is_not_trained_further(
    make: Callable[[], SequentialSystem], ended: int, tmp_path: Path
) -> None:
    """Interrupted between its end and what is done with it."""
    whole, again, schedule = make(), make(), Schedule(max_epochs=2 if ended == 12 else 9, patience=2)
    expected = quick_fit(whole, tmp_path, schedule)
    assert expected.history["step"].max() == ended
    assert quick_fit(again, tmp_path, schedule).history.equals(expected.history)
    assert same_weights(again, whole)


def test_interrupted_before_the_first_checkpoint_begins_anew(tmp_path: Path) -> None:
    whole, resumed, schedule = next_item(), next_item(), Schedule(max_epochs=1)
    expected = quick_fit(whole, tmp_path / "whole", schedule)
    interrupted_fit(next_item(), tmp_path / "resumed", schedule, 2)
    assert not (tmp_path / "resumed" / "last.ckpt").exists()
    assert quick_fit(resumed, tmp_path / "resumed", schedule).history.equals(expected.history)
    assert same_weights(resumed, whole)


def test_the_tiny_epochs_are_as_long_as_the_tests_think() -> None:
    assert len(LOADER(tiny_dataset().train)) == 6
