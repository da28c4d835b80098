from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from recsys.objectives.group import Group
from recsys.objectives.ratio import behaviour_log_prob, clipped, clipped_surrogate, token_log_ratio


@pytest.mark.parametrize(
    ("ratio", "advantage", "value", "slope", "held"),
    [
        (1.0, 2.0, 2.0, 2.0, False),
        (3.0, 2.0, 2.6, 0.0, True),
        (0.1, 2.0, 0.2, 0.2, False),
        (3.0, -2.0, -6.0, -6.0, False),
        (0.1, -2.0, -1.6, 0.0, True),
        (3.0, 0.0, 0.0, 0.0, False),
    ],
)
def test_the_clip_holds_only_what_already_went_far_enough(
    ratio: float, advantage: float, value: float, slope: float, held: bool
) -> None:
    log_ratio = torch.tensor([ratio], dtype=torch.float64).log().requires_grad_()
    gain = clipped_surrogate(log_ratio, torch.tensor([advantage], dtype=torch.float64), 0.2, 0.3)
    (found,) = torch.autograd.grad(gain.sum(), log_ratio)
    assert gain.item() == pytest.approx(value)
    assert found.item() == pytest.approx(slope)
    assert clipped(log_ratio, torch.tensor([advantage], dtype=torch.float64), 0.2, 0.3).item() is held


def test_ratios_of_missing_candidates_are_one(make_group: Callable[..., Group], logits: Tensor) -> None:
    group = make_group([[0, -1]], old=logits.detach().flip(0))
    assert token_log_ratio(group)[0, 1].tolist() == [0.0, 0.0]
    assert token_log_ratio(group)[0, 0].sum().item() == pytest.approx(0.3 - 0.6)
    assert behaviour_log_prob(group)[0, 1] == 0
