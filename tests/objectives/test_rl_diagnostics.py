from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from recsys.objectives.rl_diagnostics import rl_diagnostics, unique_share
from recsys.types.rollout import Group

HIT = torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)


def test_shares_count_groups_by_what_they_hold(make_group: Callable[..., Group]) -> None:
    rows = [[1, 2, 3], [0, 2, 3], [0, 0, 3], [0, 0, -1], [-1, -1, -1]]
    scalars = rl_diagnostics(make_group(rows, reward=HIT))
    assert scalars["all_zero_share"] == 1 / 4
    assert scalars["equal_share"] == 2 / 4
    assert scalars["no_hit_share"] == 1 / 4
    assert scalars["single_hit_share"] == 1 / 4
    assert scalars["reward_mean"].item() == pytest.approx((0 + 1 / 3 + 2 / 3 + 1) / 4)


def test_divergences_are_those_of_whole_candidates(make_group: Callable[..., Group], logits: Tensor) -> None:
    scalars = rl_diagnostics(make_group([[1, 2, -1]]))
    assert scalars["behaviour_kl"] == 0
    assert scalars["kl"].item() == pytest.approx(torch.tensor(-0.2).exp().item() + 0.2 - 1)
    assert "kl" not in rl_diagnostics(make_group([[1, 2]], reference_log_prob=None))
    assert rl_diagnostics(make_group([[1, 2]], old=logits.detach().flip(0)))["behaviour_kl"] > 0


def test_entropy_is_exact_where_the_group_is_the_catalogue(make_group: Callable[..., Group], logits: Tensor) -> None:
    exact = -(logits.softmax(-1) * logits.log_softmax(-1)).sum()
    group = make_group([[0, 1, 2, 3, 4, 5, -1]])
    whole = make_group([[0, 1, 2, 3, 4, 5, -1]], log_inclusion=torch.zeros_like(group.reward))
    assert torch.isclose(rl_diagnostics(whole)["entropy"], exact)


def test_entropy_of_samples_is_the_mean_surprise(make_group: Callable[..., Group]) -> None:
    group = make_group([[1, 2, -1]])
    assert torch.isclose(rl_diagnostics(group)["entropy"], -group.log_prob[0, :2].mean())


def test_scalars_carry_no_gradient(make_group: Callable[..., Group]) -> None:
    assert not any(scalar.requires_grad for scalar in rl_diagnostics(make_group([[1, 2, 3]])).values())


def test_unique_share_counts_items_of_a_request_once() -> None:
    items = torch.tensor([[3, 3, 3, 5], [3, 1, -1, -1]])
    assert unique_share(items, items >= 0).item() == pytest.approx(4 / 6)
    assert unique_share(torch.full((1, 2), -1), torch.zeros(1, 2, dtype=torch.bool)) == 0
