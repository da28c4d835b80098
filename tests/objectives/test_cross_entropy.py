from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from recsys.objectives.cross_entropy import cross_entropy
from recsys.objectives.group import Group


def test_the_value_is_the_mean_negative_log_likelihood(make_group: Callable[..., Group]) -> None:
    target = torch.tensor([[0.5, 0.5], [0.25, 1.0]], dtype=torch.float64).log()
    loss = cross_entropy(make_group([[2], [3]], target_log_prob=target))
    assert loss.value.item() == pytest.approx(-torch.tensor(0.25).log().item())
    assert loss.diagnostics["target_log_prob"] == -loss.value


def test_targets_outside_the_legal_set_are_left_out(make_group: Callable[..., Group]) -> None:
    target = torch.tensor([[-0.5, -0.5], [-0.1, -torch.inf]], dtype=torch.float64, requires_grad=True)
    loss = cross_entropy(make_group([[2], [3]], target_log_prob=target))
    (slope,) = torch.autograd.grad(loss.value, target)
    assert loss.value.item() == 1.0
    assert slope.tolist() == [[-1.0, -1.0], [0.0, 0.0]]
    assert loss.diagnostics["illegal_target_share"] == 0.5
