from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.objectives.group_terms import (
    behaviour_log_prob,
    centred,
    clipped,
    clipped_surrogate,
    group_mean,
    group_normalised,
    k3,
    kl_penalty,
    kl_to_reference,
    largest_of,
    masked_mean,
    token_log_ratio,
)
from recsys.types.rollout import Rollout


def test_golden_values_of_one_hit_among_four() -> None:
    advantage = group_normalised(torch.tensor([[1.0, 0.0, 0.0, 0.0]]), torch.ones(1, 4, dtype=torch.bool))
    expected = torch.tensor([[1.4997, -0.4999, -0.4999, -0.4999]])
    assert torch.allclose(advantage, expected, atol=5e-5)


def test_missing_candidates_change_nothing() -> None:
    reward = torch.tensor([[1.0, 0.0, 0.5, float("nan"), float("inf")]])
    alive = torch.tensor([[True, True, True, False, False]])
    for advantages in (centred, group_normalised):
        whole = advantages(reward[:, :3], alive[:, :3])
        assert torch.allclose(advantages(reward, alive)[:, :3], whole)
        assert (advantages(reward, alive)[:, 3:] == 0).all()


def test_groups_without_a_difference_get_zeros() -> None:
    reward = torch.tensor([[0.3, 0.3, 0.3], [5.0, 1.0, 2.0], [1.0, 2.0, 3.0]])
    alive = torch.tensor([[True, True, True], [True, False, False], [False, False, False]])
    assert group_normalised(reward, alive).abs().max() < 1e-3
    assert (group_normalised(reward, alive)[1:] == 0).all()


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=8), st.floats(0.1, 10), st.floats(-5, 5))
def test_a_change_of_scale_and_level_of_the_reward_changes_nothing(
    rewards: list[float], scale: float, level: float
) -> None:
    reward = torch.tensor([rewards], dtype=torch.float64)
    alive = torch.ones_like(reward, dtype=torch.bool)
    advantage = group_normalised(reward, alive, epsilon=0.0)
    if reward.std() > 1e-3:
        assert torch.allclose(group_normalised(scale * reward + level, alive, epsilon=0.0), advantage, atol=1e-6)
        assert torch.isclose(advantage.std(), torch.ones((), dtype=torch.float64))
    assert torch.isclose(centred(reward, alive).sum(), torch.zeros((), dtype=torch.float64), atol=1e-9)


def test_epsilon_damps_small_differences() -> None:
    reward, alive = torch.tensor([[1e-4, 0.0]]), torch.ones(1, 2, dtype=torch.bool)
    assert (
        group_normalised(reward, alive, epsilon=1e-4)[0, 0] < 0.5 < group_normalised(reward, alive, epsilon=1e-9)[0, 0]
    )


def test_k3_estimates_the_divergence_without_bias() -> None:
    policy, reference = torch.tensor([0.7, 0.2, 0.1]).log(), torch.tensor([0.3, 0.3, 0.4]).log()
    exact = (policy.exp() * (policy - reference)).sum()
    assert torch.isclose((policy.exp() * k3(policy, reference)).sum(), exact)


def test_k3_is_never_negative_and_zero_at_the_reference() -> None:
    policy = torch.linspace(-9, 0, 50)
    assert (k3(policy, policy.flip(0)) >= 0).all()
    assert (k3(policy, policy) == 0).all()


def test_the_penalty_is_the_mean_over_codes_candidates_and_requests(make_rollout: Callable[..., Rollout]) -> None:
    group = make_rollout([[0, 1], [2, -1]])
    step = torch.tensor(0.1, dtype=torch.float64)
    assert torch.isclose(kl_to_reference(group), (-step).exp() + step - 1)
    assert torch.isclose(kl_penalty(group, 0.5), 0.5 * kl_to_reference(group))


def test_a_weight_without_a_reference_is_refused(make_rollout: Callable[..., Rollout]) -> None:
    group = make_rollout([[0, 1]], reference_log_prob=None)
    assert kl_penalty(group, 0.0) == 0
    with pytest.raises(ConfigurationError, match="reference"):
        kl_penalty(group, 0.1)


@pytest.mark.parametrize(
    ("ratio", "advantage", "value", "slope", "held"),
    [
        (1.0, 2.0, 2.0, 2.0, False),
        (3.0, 2.0, 2.6, 0.0, True),
        (0.1, 2.0, 0.2, 0.2, False),
        (3.0, -2.0, -6.0, -6.0, False),
        (0.1, -2.0, -1.6, 0.0, True),
        (3.0, 0.0, 0.0, 0.0, False),
    ],
)
def test_the_clip_holds_only_what_already_went_far_enough(
    ratio: float, advantage: float, value: float, slope: float, held: bool
) -> None:
    log_ratio = torch.tensor([ratio], dtype=torch.float64).log().requires_grad_()
    gain = clipped_surrogate(log_ratio, torch.tensor([advantage], dtype=torch.float64), 0.2, 0.3)
    (found,) = torch.autograd.grad(gain.sum(), log_ratio)
    assert gain.item() == pytest.approx(value)
    assert found.item() == pytest.approx(slope)
    assert clipped(log_ratio, torch.tensor([advantage], dtype=torch.float64), 0.2, 0.3).item() is held


def test_ratios_of_missing_candidates_are_one(make_rollout: Callable[..., Rollout], logits: Tensor) -> None:
    group = make_rollout([[0, -1]], old=logits.detach().flip(0))
    assert token_log_ratio(group)[0, 1].tolist() == [[0.0, 0.0]]
    assert token_log_ratio(group)[0, 0].sum().item() == pytest.approx(0.3 - 0.6)
    assert behaviour_log_prob(group)[0, 1] == 0


def test_masked_values_may_be_anything() -> None:
    values = torch.tensor([[1.0, float("nan")], [float("-inf"), float("inf")], [2.0, 6.0]])
    mask = torch.tensor([[True, False], [False, False], [True, True]])
    assert masked_mean(values, mask) == 3.0
    assert group_mean(values, mask) == 2.5


def test_nothing_has_mean_zero() -> None:
    nothing, mask = torch.zeros(0, 4), torch.zeros(0, 4, dtype=torch.bool)
    assert masked_mean(nothing, mask) == 0
    assert group_mean(nothing, mask) == 0
    assert group_mean(torch.ones(2, 3), torch.zeros(2, 3, dtype=torch.bool)) == 0


def test_gradients_of_masked_values_are_zero() -> None:
    values = torch.tensor([[1.0, float("-inf")]], requires_grad=True)
    (slope,) = torch.autograd.grad(group_mean(values, torch.tensor([[True, False]])), values)
    assert slope.tolist() == [[1.0, 0.0]]


def test_largest_of_nothing_is_zero() -> None:
    assert largest_of(torch.zeros(0)) == 0
    assert largest_of(torch.tensor([-3.0])) == 0
    assert largest_of(torch.tensor([1.0, 5.0])) == 5


@pytest.mark.parametrize("level", [1234.567, 123.456, 1e-3, 0.0, -7.1])
@pytest.mark.parametrize("candidates", [1, 5, 11])
def test_equal_rewards_of_any_size_give_zeros(level: float, candidates: int) -> None:
    """The mean of equal numbers may differ from them by a rounding, which a small deviation would make large."""
    reward = torch.full((1, candidates), level)
    assert (group_normalised(reward, torch.ones_like(reward, dtype=torch.bool)) == 0).all()
    assert (group_normalised(reward, torch.zeros_like(reward, dtype=torch.bool)) == 0).all()
