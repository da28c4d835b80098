from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from recsys.objectives.gbpo import bounded_log_ratio, gbpo
from recsys.objectives.group import Group


@pytest.mark.parametrize(
    ("probability", "old", "advantage", "ratio"),
    [
        (0.9, 0.1, -1.0, 9.0),
        (0.9, 0.01, -1.0, 9.0),
        (0.01, 0.9, -1.0, 0.01 / 0.99),
        (0.9, 0.01, 1.0, 1.0),
        (0.2, 0.8, 1.0, 0.25),
        (0.2, 0.5, 0.0, 0.4),
        (1.0, 0.5, -1.0, 2.0),
    ],
)
def test_golden_ratios(probability: float, old: float, advantage: float, ratio: float) -> None:
    values = [torch.tensor([value], dtype=torch.float64) for value in (probability, old, advantage)]
    found = bounded_log_ratio(values[0].log(), values[1].log(), values[2]).exp()
    assert found.item() == pytest.approx(ratio)


def test_a_bad_candidates_gradient_is_that_of_binary_cross_entropy() -> None:
    log_prob = torch.tensor([0.3], dtype=torch.float64).log().requires_grad_()
    old = torch.tensor([0.3], dtype=torch.float64).log()
    ratio = bounded_log_ratio(log_prob, old, torch.tensor([-1.0], dtype=torch.float64)).exp()
    (ours,) = torch.autograd.grad(ratio.sum(), log_prob)
    (theirs,) = torch.autograd.grad(-torch.log1p(-log_prob.exp()).sum(), log_prob)
    assert torch.isclose(ours, theirs)


def test_rewards_are_used_as_they_are(make_group: Callable[..., Group]) -> None:
    group = make_group([[2, 0, -1]])
    (slope,) = torch.autograd.grad(gbpo(group).value, group.token_log_prob)
    assert slope[0, :, 0].tolist() == pytest.approx([-0.25, -0.5, 0.0])
    assert gbpo(group).diagnostics["largest_ratio"].item() == pytest.approx(1.0)
