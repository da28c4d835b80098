from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from recsys.objectives.advantages import group_normalised
from recsys.objectives.group import Group
from recsys.objectives.grpo import grpo
from recsys.objectives.gspo import gspo


def test_the_first_step_is_grpos(make_group: Callable[..., Group], logits: Tensor) -> None:
    group = make_group([[2, 0, 5], [1, 3, 0]])
    slopes = [torch.autograd.grad(loss(group).value, logits, retain_graph=True)[0] for loss in (grpo, gspo)]
    assert torch.allclose(*slopes)


def test_the_ratio_is_the_geometric_mean_over_codes(make_group: Callable[..., Group], logits: Tensor) -> None:
    group = make_group([[2, 0]], old=logits.detach().flip(0))
    ratio = (0.5 * (group.token_log_prob - group.behaviour_log_prob).sum(-1)).exp()
    advantage = group_normalised(group.reward, group.alive)
    loss = gspo(group, clip_low=0.99, clip_high=100.0)
    assert loss.value.item() == pytest.approx(-(ratio * advantage).mean().item())


def test_a_candidate_is_clipped_as_a_whole(make_group: Callable[..., Group], logits: Tensor) -> None:
    old = logits.detach().clone()
    old[0] -= 1.0
    group = make_group([[2, 0]], old=old)
    (slope,) = torch.autograd.grad(gspo(group).value, group.token_log_prob)
    assert (slope[0, 1] == 0).all()
