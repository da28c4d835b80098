from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from recsys.objectives.dapo import dapo
from recsys.objectives.group import Group
from recsys.objectives.grpo import grpo


def test_groups_of_one_size_give_what_grpo_gives(make_group: Callable[..., Group], logits: Tensor) -> None:
    group = make_group([[2, 0, 5], [1, 3, 0]], old=logits.detach() + 0.05 * logits.detach().flip(0))
    loss = dapo(group, clip_low=0.1, clip_high=0.1).value
    assert torch.isclose(loss, grpo(group, clip=0.1).value)


def test_candidates_weigh_the_same_across_requests(make_group: Callable[..., Group], logits: Tensor) -> None:
    old = torch.tensor([0.1, 0.0, 0.0, -0.1, 0.2, 0.0], dtype=torch.float64) + logits.detach()
    long, short = make_group([[2, 0, 5]], old=old), make_group([[0, 4, -1]], old=old)
    both = make_group([[2, 0, 5], [0, 4, -1]], old=old)
    assert torch.isclose(dapo(both).value, (3 * dapo(long).value + 2 * dapo(short).value) / 5)


def test_the_windows_two_ends_are_set_apart(make_group: Callable[..., Group], logits: Tensor) -> None:
    old = logits.detach().clone()
    old[0] -= 0.4
    group = make_group([[2, 0, 5]], old=old)
    narrow, wide = (dapo(group, clip_low=0.9, clip_high=high) for high in (0.05, 0.5))
    assert narrow.diagnostics["clip_fraction"] > wide.diagnostics["clip_fraction"] == 0
    slopes = [torch.autograd.grad(loss.value, group.token_log_prob, retain_graph=True)[0] for loss in (narrow, wide)]
    assert (slopes[0][0, 1] == 0).any()
    assert (slopes[1][0, 1] != 0).all()
