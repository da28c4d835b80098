from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from recsys.errors import ConfigurationError
from recsys.objectives.expected_reward import (
    importance_weights,
    normalised_without_replacement,
    truncated_expectation,
    without_replacement,
)
from recsys.types.rollout import Rollout


def test_the_value_is_the_expected_reward_over_the_group(make_rollout: Callable[..., Rollout]) -> None:
    group = make_rollout([[2, 0, 5, -1]])
    p = group.log_prob[0, :3].exp()
    expected = (p / p.sum() * torch.tensor([0.5, 1.0, 0.2], dtype=torch.float64)).sum()
    loss = truncated_expectation(group)
    assert torch.isclose(loss.value, -expected)
    assert torch.isclose(loss.diagnostics["covered_mass"], p.sum())


def test_the_slope_is_the_advantage_over_the_expectation(make_rollout: Callable[..., Rollout]) -> None:
    group = make_rollout([[2, 0, 5]])
    p = group.log_prob[0].softmax(-1)
    reward = torch.tensor([0.5, 1.0, 0.2], dtype=torch.float64)
    (slope,) = torch.autograd.grad(truncated_expectation(group).value, group.token_log_prob)
    assert torch.allclose(slope[0, :, 0, 0], -p * (reward - (p * reward).sum()))


def test_a_high_temperature_weighs_all_candidates_alike(make_rollout: Callable[..., Rollout]) -> None:
    group = make_rollout([[2, 0, 5, -1]])
    assert truncated_expectation(group, temperature=1e6).value.item() == pytest.approx(-1.7 / 3, abs=1e-5)


def test_a_temperature_of_zero_is_refused(make_rollout: Callable[..., Rollout]) -> None:
    with pytest.raises(ConfigurationError, match="temperature"):
        truncated_expectation(make_rollout([[2, 0]]), temperature=0.0)


def test_the_whole_legal_set_needs_no_weights(make_rollout: Callable[..., Rollout]) -> None:
    group = make_rollout([[0, 1, 2, 3, 4, 5, -1]])
    group = make_rollout([[0, 1, 2, 3, 4, 5, -1]], log_inclusion=torch.zeros_like(group.reward))
    loss = without_replacement(group)
    p = group.log_prob[0, :6].exp()
    assert torch.allclose(importance_weights(group)[0], torch.cat([p, p.new_zeros(1)]))
    reward = torch.tensor([1.0, 0.0, 0.5, 0.0, 0.0, 0.2], dtype=torch.float64)
    assert torch.isclose(loss.value, -(p * reward).sum())
    assert loss.diagnostics["weight_sum"].item() == pytest.approx(1.0)
    assert torch.isclose(loss.diagnostics["largest_weight"], p.max())


def test_normalised_coefficients_are_those_of_the_formula(make_rollout: Callable[..., Rollout]) -> None:
    inclusion = torch.tensor([[0.7, 0.5, 0.4]], dtype=torch.float64)
    group = make_rollout([[2, 0, 5]], log_inclusion=inclusion.log())
    (slope,) = torch.autograd.grad(normalised_without_replacement(group).value, group.token_log_prob)
    p, reward = group.log_prob.detach()[0].exp(), torch.tensor([0.5, 1.0, 0.2], dtype=torch.float64)
    w = p / inclusion[0]
    expected = -w / (w.sum() - w + p) * (reward - (w * reward).sum() / w.sum())
    assert torch.allclose(slope[0, :, 0, 0], expected)


@pytest.mark.parametrize("objective", [without_replacement, normalised_without_replacement])
def test_groups_drawn_in_another_way_are_refused(
    objective: Callable[[Rollout], object], make_rollout: Callable[..., Rollout]
) -> None:
    with pytest.raises(ConfigurationError, match="log_inclusion"):
        objective(make_rollout([[2, 0]]))
