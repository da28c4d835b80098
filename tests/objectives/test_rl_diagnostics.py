from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from recsys.objectives.rl_diagnostics import rl_diagnostics, unique_share
from recsys.types.rollout import Rollout

HIT = torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)


def test_shares_count_groups_by_what_they_hold(make_rollout: Callable[..., Rollout]) -> None:
    rows = [[1, 2, 3], [0, 2, 3], [0, 0, 3], [0, 0, -1], [-1, -1, -1]]
    scalars = rl_diagnostics(make_rollout(rows, reward=HIT))
    assert scalars["all_zero_share"] == 1 / 4
    assert scalars["equal_share"] == 2 / 4
    assert scalars["no_hit_share"] == 1 / 4
    assert scalars["single_hit_share"] == 1 / 4
    assert scalars["reward_mean"].item() == pytest.approx((0 + 1 / 3 + 2 / 3 + 1) / 4)


def test_divergences_are_those_of_whole_candidates(make_rollout: Callable[..., Rollout], logits: Tensor) -> None:
    scalars = rl_diagnostics(make_rollout([[1, 2, -1]]))
    assert scalars["behaviour_kl"] == 0
    assert scalars["kl"].item() == pytest.approx(torch.tensor(-0.2).exp().item() + 0.2 - 1)
    assert "kl" not in rl_diagnostics(make_rollout([[1, 2]], reference_log_prob=None))
    assert rl_diagnostics(make_rollout([[1, 2]], old=logits.detach().flip(0)))["behaviour_kl"] > 0


def test_entropy_is_exact_where_the_group_is_the_catalogue(
    make_rollout: Callable[..., Rollout], logits: Tensor
) -> None:
    exact = -(logits.softmax(-1) * logits.log_softmax(-1)).sum()
    group = make_rollout([[0, 1, 2, 3, 4, 5, -1]])
    whole = make_rollout([[0, 1, 2, 3, 4, 5, -1]], log_inclusion=torch.zeros_like(group.reward))
    assert torch.isclose(rl_diagnostics(whole)["entropy"], exact)


def test_entropy_of_samples_is_the_mean_surprise(make_rollout: Callable[..., Rollout]) -> None:
    group = make_rollout([[1, 2, -1]])
    assert torch.isclose(rl_diagnostics(group)["entropy"], -group.log_prob[0, :2].mean())


def test_scalars_carry_no_gradient(make_rollout: Callable[..., Rollout]) -> None:
    assert not any(scalar.requires_grad for scalar in rl_diagnostics(make_rollout([[1, 2, 3]])).values())


def test_unique_share_counts_items_of_a_request_once() -> None:
    items = torch.tensor([[3, 3, 3, 5], [3, 1, -1, -1]]).unsqueeze(-1)
    assert unique_share(items).item() == pytest.approx(4 / 6)
    assert unique_share(torch.full((1, 2, 1), -1)) == 0


def test_unique_share_counts_slates_in_their_order() -> None:
    items = torch.tensor([[[1, 2], [2, 1], [1, 3], [1, 2], [1, -1], [1, 3]]])
    assert unique_share(items).item() == pytest.approx(3 / 5)
