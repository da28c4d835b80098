from __future__ import annotations

import pytest
import torch

from recsys.types.feedback import Feedback


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4)])
def test_reward_is_a_slates_or_a_slots(shape: tuple[int, ...]) -> None:
    assert Feedback.of_reward(torch.zeros(shape), torch.ones(2, 3)).reward.shape == shape


def test_propensity_belongs_to_the_same_slates() -> None:
    with pytest.raises(Exception, match="propensity"):
        Feedback.of_reward(torch.zeros(2, 3), torch.ones(2, 4))
