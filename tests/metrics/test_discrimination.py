from __future__ import annotations

import math

import pytest
import torch
from torchmetrics.functional.classification import binary_auroc

from recsys.metrics.discrimination import BLOCK, concordance


@pytest.mark.parametrize("count", [10, BLOCK + 7])
def test_for_two_outcomes_it_is_the_area_under_the_curve(count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    score = (torch.rand(count, generator=generator) * 20).round() / 20  # with ties
    outcome = (torch.rand(count, generator=generator) < score).float()
    assert concordance(score, outcome) == pytest.approx(binary_auroc(score, outcome.long()).item(), abs=1e-6)


def test_pairs_with_equal_outcomes_do_not_count() -> None:
    score, outcome = torch.tensor([0.0, 3.0, 1.0, 2.0]), torch.tensor([0.0, 0.2, 0.2, 1.0])
    assert concordance(score, outcome) == pytest.approx(4 / 5)


def test_there_is_none_without_a_difference() -> None:
    assert math.isnan(concordance(torch.rand(3), torch.ones(3)))
    assert math.isnan(concordance(torch.rand(0), torch.rand(0)))
