from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.policies.generative import GenerativePolicy
from recsys.rewards.combined import WeightedSum
from recsys.rewards.frozen_model import CollaborativeReward
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.slates import Slates
from tests.tiny import tiny_sasrec


class TwoUsers:
    def __init__(self) -> None:
        self.log_prob = torch.tensor([[0.5, 0.25, 0.25], [0.9, 0.1, 0.0]]).log().requires_grad_()

    def catalogue_log_prob(self, context: Context) -> Tensor:
        return self.log_prob[context.users]


def test_the_reward_is_the_scorers_log_probability(
    make_example: Callable[..., Example], make_slates: Callable[..., Slates]
) -> None:
    reward = CollaborativeReward(TwoUsers(), floor=-4.0)(make_example([0, 0]), make_slates([[0, 2], [2, -1]]))
    assert reward.flatten().tolist() == pytest.approx([-0.6931, -1.3863, -4.0, 0.0], abs=1e-4)
    assert not reward.requires_grad


def test_slates_earn_the_mean_over_slots(
    make_example: Callable[..., Example], make_slates: Callable[..., Slates]
) -> None:
    reward = CollaborativeReward(TwoUsers())(make_example([0]), make_slates([[[0, 1], [1, 2]]]))
    assert reward[0].tolist() == pytest.approx([-1.5 * 0.6931, -1.3863], abs=1e-4)


def test_a_scorer_that_is_a_module_stays_in_evaluation_mode() -> None:
    reward = CollaborativeReward(GenerativePolicy(tiny_sasrec(dropout=0.5)))
    system = WeightedSum({"collaborative": reward}, {"collaborative": 1.0}).train()
    assert system.training
    assert not any(module.training for module in reward.modules())


@pytest.mark.parametrize("floor", [0.0, 1.0, -float("inf"), float("nan")])
def test_the_floor_is_a_negative_number(floor: float) -> None:
    with pytest.raises(ConfigurationError, match="floor"):
        CollaborativeReward(TwoUsers(), floor=floor)
