from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.objectives.group import Group
from recsys.objectives.grpo import grpo, released_grpo


def test_the_value_is_that_of_a_plain_loop(make_group: Callable[..., Group], logits: Tensor) -> None:
    old = logits.detach().flip(0)
    group = make_group([[2, 0, 5], [1, 3, -1]], old=old)
    rewards = [[0.5, 1.0, 0.2], [0.0, 0.0]]
    expected = 0.0
    for request, rewards_of_group in enumerate(rewards):
        reward = torch.tensor(rewards_of_group, dtype=torch.float64)
        advantage = (reward - reward.mean()) / (reward.std() + 1e-4)
        for candidate, a in enumerate(advantage.tolist()):
            for level in range(2):
                new, before = (
                    group.token_log_prob[request, candidate, level],
                    group.behaviour_log_prob[request, candidate, level],
                )
                ratio = (new - before).exp().item()
                gain = min(ratio * a, min(max(ratio, 0.9), 1.1) * a)
                gap = group.reference_log_prob[request, candidate, level].item() - new.item()
                expected -= (gain - 0.3 * (torch.tensor(gap).exp().item() - gap - 1)) / 2 / len(rewards_of_group) / 2
    assert grpo(group, clip=0.1, kl_weight=0.3).value.item() == pytest.approx(expected, abs=1e-6)


def test_the_released_form_has_the_same_gradient_at_the_first_inner_step(
    make_group: Callable[..., Group], logits: Tensor
) -> None:
    group = make_group([[2, 0, 5], [1, 3, -1]])
    slopes = [
        torch.autograd.grad(loss(group, kl_weight=0.2).value, logits, retain_graph=True)[0]
        for loss in (grpo, released_grpo)
    ]
    assert torch.allclose(*slopes)


def test_the_released_form_forgets_who_drew(make_group: Callable[..., Group], logits: Tensor) -> None:
    items = [[2, 0, 5]]
    moved = make_group(items, old=logits.detach().flip(0), reference_log_prob=None)
    fresh = make_group(items, reference_log_prob=None)
    slopes = [
        torch.autograd.grad(released_grpo(group, kl_weight=0.0).value, logits, retain_graph=True)[0]
        for group in (moved, fresh)
    ]
    assert torch.equal(*slopes)


def test_epsilon_and_kl_weight_are_read(make_group: Callable[..., Group]) -> None:
    group = make_group([[2, 0, 5]])
    assert grpo(group, kl_weight=0.1).diagnostics["kl_penalty"] > 0
    assert grpo(group).diagnostics["kl_penalty"] == 0
    assert (
        released_grpo(group, kl_weight=0.2).diagnostics["kl_penalty"]
        > grpo(group, kl_weight=0.1).diagnostics["kl_penalty"]
    )
    for loss in (grpo, released_grpo):
        slopes = [
            torch.autograd.grad(loss(group, kl_weight=0.0, epsilon=e).value, group.token_log_prob, retain_graph=True)[0]
            for e in (1e-4, 10.0)
        ]
        assert slopes[1].norm() < 0.1 * slopes[0].norm()


def test_a_kl_term_needs_a_reference(make_group: Callable[..., Group]) -> None:
    group = make_group([[2, 0, 5]], reference_log_prob=None)
    grpo(group)
    for loss in (grpo, released_grpo):
        with pytest.raises(ConfigurationError, match="reference"):
            loss(group, kl_weight=0.1)
