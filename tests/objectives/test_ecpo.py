from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from recsys.objectives.ecpo import early_clipped_log_ratio, ecpo
from recsys.objectives.group import Group


def group_with(probability: list[float], old: list[float], reward: list[float]) -> Group:
    log_prob = torch.tensor([probability], dtype=torch.float64).log().unsqueeze(-1).requires_grad_()
    behaviour = torch.tensor([old], dtype=torch.float64).log().unsqueeze(-1)
    alive = torch.ones(1, len(old), dtype=torch.bool)
    return Group(log_prob, behaviour, torch.tensor([reward], dtype=torch.float64), ~alive, alive, log_prob[:, 0])


def test_golden_value_the_ratio_of_a_bad_candidate_stops_at_one_plus_clip_plus_delta() -> None:
    log_prob = torch.tensor([0.5], dtype=torch.float64).log().requires_grad_()
    ratio = early_clipped_log_ratio(log_prob, torch.tensor([0.1], dtype=torch.float64).log(), 0.2, 0.1).exp()
    (slope,) = torch.autograd.grad(ratio.sum(), log_prob)
    assert ratio.item() == pytest.approx(1.3)
    assert slope.item() == pytest.approx(1.3)


def test_golden_gradients_with_a_fivefold_ratio() -> None:
    group = group_with([0.5, 0.1], [0.1, 0.1], [0.0, 1.0])
    loss = ecpo(group, clip=0.2, delta=0.1)
    (slope,) = torch.autograd.grad(loss.value, group.token_log_prob)
    advantage = 0.5 / (0.5**0.5 + 1e-4)
    assert slope.flatten().tolist() == pytest.approx([1.3 * advantage / 2, -advantage / 2])
    assert loss.diagnostics["early_clip_fraction"] == 0.5
    good = group_with([0.5, 0.1], [0.1, 0.1], [1.0, 0.0])
    (slope,) = torch.autograd.grad(ecpo(good).value, good.token_log_prob)
    assert slope[0, 0].item() == 0
    assert ecpo(good).diagnostics["clip_fraction"] == 0.5


def test_small_ratios_stay_as_they_are(make_group: Callable[..., Group], logits: Tensor) -> None:
    group = make_group([[2, 0, 5]], old=logits.detach() * 0.95)
    exact = group.log_prob - group.behaviour_log_prob.sum(-1)
    assert torch.allclose(early_clipped_log_ratio(group.log_prob, group.behaviour_log_prob.sum(-1), 0.2, 0.1), exact)


def test_delta_moves_the_bound() -> None:
    group = group_with([0.5, 0.1], [0.1, 0.1], [0.0, 1.0])
    slopes = [torch.autograd.grad(ecpo(group, delta=delta).value, group.token_log_prob)[0] for delta in (0.1, 0.4)]
    assert (slopes[1][0, 0] / slopes[0][0, 0]).item() == pytest.approx(1.6 / 1.3)
