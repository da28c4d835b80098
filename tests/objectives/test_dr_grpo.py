from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from recsys.objectives.dr_grpo import dr_grpo
from recsys.objectives.group import Group


def test_the_slope_is_the_centred_reward(make_group: Callable[..., Group]) -> None:
    group = make_group([[2, 0, 1, -1]])
    (slope,) = torch.autograd.grad(dr_grpo(group).value, group.token_log_prob)
    assert slope[0, :, 0].tolist() == pytest.approx([0.0, -0.5 / 3, 0.5 / 3, 0.0])
    assert torch.equal(slope[..., 0], slope[..., 1])


def test_a_larger_reward_moves_more(make_group: Callable[..., Group]) -> None:
    reward = torch.tensor([1.0, 0.0, 0.5, 0.0, 0.0, 0.2], dtype=torch.float64)
    group, tenfold = make_group([[2, 0, 1]]), make_group([[2, 0, 1]], reward=10 * reward)
    slopes = [torch.autograd.grad(dr_grpo(g).value, g.token_log_prob)[0] for g in (group, tenfold)]
    assert torch.allclose(10 * slopes[0], slopes[1])


def test_clip_is_read(make_group: Callable[..., Group], logits: torch.Tensor) -> None:
    group = make_group([[2, 0, 1]], old=logits.detach() * 0.8)
    shares = [dr_grpo(group, clip=clip).diagnostics["clip_fraction"] for clip in (0.01, 5.0)]
    assert shares[0] > shares[1] == 0
