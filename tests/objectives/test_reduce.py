from __future__ import annotations

import torch

from recsys.objectives.reduce import largest_of, mean_in_groups, mean_of


def test_masked_values_may_be_anything() -> None:
    values = torch.tensor([[1.0, float("nan")], [float("-inf"), float("inf")], [2.0, 6.0]])
    mask = torch.tensor([[True, False], [False, False], [True, True]])
    assert mean_of(values, mask) == 3.0
    assert mean_in_groups(values, mask) == 2.5


def test_nothing_has_mean_zero() -> None:
    nothing, mask = torch.zeros(0, 4), torch.zeros(0, 4, dtype=torch.bool)
    assert mean_of(nothing, mask) == 0
    assert mean_in_groups(nothing, mask) == 0
    assert mean_in_groups(torch.ones(2, 3), torch.zeros(2, 3, dtype=torch.bool)) == 0


def test_gradients_of_masked_values_are_zero() -> None:
    values = torch.tensor([[1.0, float("-inf")]], requires_grad=True)
    (slope,) = torch.autograd.grad(mean_in_groups(values, torch.tensor([[True, False]])), values)
    assert slope.tolist() == [[1.0, 0.0]]


def test_largest_of_nothing_is_zero() -> None:
    assert largest_of(torch.zeros(0)) == 0
    assert largest_of(torch.tensor([-3.0])) == 0
    assert largest_of(torch.tensor([1.0, 5.0])) == 5
