from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from recsys.errors import ConfigurationError
from recsys.objectives.group import Group
from recsys.objectives.truncated_expectation import truncated_expectation


def test_the_value_is_the_expected_reward_over_the_group(make_group: Callable[..., Group]) -> None:
    group = make_group([[2, 0, 5, -1]])
    p = group.log_prob[0, :3].exp()
    expected = (p / p.sum() * torch.tensor([0.5, 1.0, 0.2], dtype=torch.float64)).sum()
    loss = truncated_expectation(group)
    assert torch.isclose(loss.value, -expected)
    assert torch.isclose(loss.diagnostics["covered_mass"], p.sum())


def test_the_slope_is_the_advantage_over_the_expectation(make_group: Callable[..., Group]) -> None:
    group = make_group([[2, 0, 5]])
    p = group.log_prob[0].softmax(-1)
    reward = torch.tensor([0.5, 1.0, 0.2], dtype=torch.float64)
    (slope,) = torch.autograd.grad(truncated_expectation(group).value, group.token_log_prob)
    assert torch.allclose(slope[0, :, 0], -p * (reward - (p * reward).sum()))


def test_a_high_temperature_weighs_all_candidates_alike(make_group: Callable[..., Group]) -> None:
    group = make_group([[2, 0, 5, -1]])
    assert truncated_expectation(group, temperature=1e6).value.item() == pytest.approx(-1.7 / 3, abs=1e-5)


def test_a_temperature_of_zero_is_refused(make_group: Callable[..., Group]) -> None:
    with pytest.raises(ConfigurationError, match="temperature"):
        truncated_expectation(make_group([[2, 0]]), temperature=0.0)
