from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from recsys.objectives.cross_entropy import cross_entropy
from recsys.objectives.group import Group
from recsys.objectives.grpo import grpo
from recsys.objectives.grpo_sr import grpo_sr, lifted_to_best

PREFERENCE = torch.tensor([0.1, 0.0, 0.9, 0.0, 0.0, 0.2], dtype=torch.float64)


def test_the_logged_item_earns_what_the_best_of_its_group_earns(make_group: Callable[..., Group]) -> None:
    group = make_group([[2, 0, 5, -1], [1, 3, 5, -1]], reward=PREFERENCE)
    assert lifted_to_best(group).tolist() == [[0.9, 0.9, 0.2, 0.0], [0.0, 0.0, 0.2, 0.0]]


def test_the_likelihood_stands_in_for_the_kl_term(make_group: Callable[..., Group], logits: Tensor) -> None:
    group = make_group([[2, 0, 5]], reward=PREFERENCE, reference_log_prob=None)
    slopes = [
        torch.autograd.grad(loss.value, logits, retain_graph=True)[0]
        for loss in (grpo_sr(group, target_weight=0.5), grpo_sr(group, target_weight=0.0), cross_entropy(group))
    ]
    assert torch.allclose(slopes[0], slopes[1] + 0.5 * slopes[2])


def test_without_the_logged_item_it_is_grpo(make_group: Callable[..., Group], logits: Tensor) -> None:
    group = make_group([[2, 3, 5]], reward=PREFERENCE)
    slopes = [
        torch.autograd.grad(loss.value, logits, retain_graph=True)[0]
        for loss in (grpo_sr(group, target_weight=0.0, epsilon=0.1), grpo(group, epsilon=0.1))
    ]
    assert torch.allclose(*slopes)
