from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from recsys.rewards.frozen_model import SemanticReward
from recsys.types.example import Example
from recsys.types.slates import Slates

VECTORS = torch.tensor([[2.0, 0.0], [0.0, 5.0], [1.0, 1.0], [-3.0, 0.0], [0.0, 0.0]])


def test_cosines_of_single_items(make_example: Callable[..., Example], make_slates: Callable[..., Slates]) -> None:
    reward = SemanticReward(VECTORS)(make_example([0]), make_slates([[0, 1, 2, 3, 4, -1]]))
    assert reward[0].tolist() == pytest.approx([1.0, 0.0, 0.5**0.5, -1.0, 0.0, 0.0])


def test_slates_earn_the_mean_over_slots(
    make_example: Callable[..., Example], make_slates: Callable[..., Slates]
) -> None:
    assert SemanticReward(VECTORS)(make_example([0]), make_slates([[[0, 1], [0, 3]]]))[0].tolist() == pytest.approx(
        [0.5, 0]
    )


def test_vectors_move_with_the_module_and_stay_out_of_checkpoints() -> None:
    reward = SemanticReward(VECTORS)
    assert not reward.state_dict()
    assert reward.double().item_vectors.dtype == torch.float64
