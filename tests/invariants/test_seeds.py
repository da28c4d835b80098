"""Equal seeds give equal trainings, 0 among them; other seeds give others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from recsys.objectives.expected_reward import without_replacement
from recsys.objectives.likelihood import legal_set_cross_entropy
from recsys.rewards.reward import HitReward
from recsys.systems.group_policy_optimisation import GroupPolicyOptimisation
from recsys.systems.group_sampling import StochasticBeamSampler
from recsys.systems.sequential import SequentialSystem
from recsys.systems.supervised import SupervisedSystem
from recsys.training.fit import Schedule
from tests.fitting import ADAM, quick_fit, same_weights
from tests.tiny import tiny_generator


def next_item(seed: int) -> SequentialSystem:
    """Dropout draws from torch's own generator, which `quick_fit` seeds."""
    return SupervisedSystem(tiny_generator(), legal_set_cross_entropy, ADAM)


def rere(seed: int) -> SequentialSystem:
    return GroupPolicyOptimisation(
        tiny_generator(dropout=0.0), StochasticBeamSampler(4), HitReward(), without_replacement, ADAM, seed=seed
    )


@pytest.mark.parametrize("make", [next_item, rere])
def test_seeds(make: Callable[[int], SequentialSystem], tmp_path: Path) -> None:
    systems, found = [], []
    for run, seed in enumerate((0, 0, 1)):
        systems.append(make(seed))
        found.append(quick_fit(systems[-1], tmp_path / str(run), Schedule(max_epochs=1), seed=seed))
    assert found[0].history.equals(found[1].history)
    assert same_weights(systems[0], systems[1])
    assert not same_weights(systems[0], systems[2])
