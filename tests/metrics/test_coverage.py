from __future__ import annotations

import pytest
import torch

from recsys.metrics.coverage import coverage, exposure, gini


def test_missing_items_are_not_exposed() -> None:
    items = torch.tensor([[0, 3], [3, -1], [-1, -1]])
    assert exposure(items, 5).tolist() == [1, 0, 0, 2, 0]
    assert coverage(items, 5) == 0.4


def test_nothing_recommended() -> None:
    nothing = torch.full((2, 3), -1)
    assert coverage(nothing, 4) == 0
    assert gini(exposure(nothing, 4)) == 0


def test_gini_is_half_the_relative_mean_absolute_difference() -> None:
    counts = torch.randint(0, 20, (30,))
    pairs = (counts.unsqueeze(0) - counts.unsqueeze(1)).abs().double().mean()
    assert gini(counts) == pytest.approx(float(pairs / (2 * counts.double().mean())))


def test_gini_ignores_order_and_scale_and_grows_with_concentration() -> None:
    counts = torch.tensor([5, 1, 3])
    assert gini(counts) == pytest.approx(gini(counts.flip(0) * 7))
    assert gini(torch.tensor([4, 4, 1])) < gini(torch.tensor([7, 1, 1]))
