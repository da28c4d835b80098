from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from recsys.errors import ConfigurationError
from recsys.objectives.group import Group
from recsys.objectives.kl import k3, kl_penalty, kl_to_reference


def test_k3_estimates_the_divergence_without_bias() -> None:
    policy, reference = torch.tensor([0.7, 0.2, 0.1]).log(), torch.tensor([0.3, 0.3, 0.4]).log()
    exact = (policy.exp() * (policy - reference)).sum()
    assert torch.isclose((policy.exp() * k3(policy, reference)).sum(), exact)


def test_k3_is_never_negative_and_zero_at_the_reference() -> None:
    policy = torch.linspace(-9, 0, 50)
    assert (k3(policy, policy.flip(0)) >= 0).all()
    assert (k3(policy, policy) == 0).all()


def test_the_penalty_is_the_mean_over_codes_candidates_and_requests(make_group: Callable[..., Group]) -> None:
    group = make_group([[0, 1], [2, -1]])
    step = torch.tensor(0.1, dtype=torch.float64)
    assert torch.isclose(kl_to_reference(group), (-step).exp() + step - 1)
    assert torch.isclose(kl_penalty(group, 0.5), 0.5 * kl_to_reference(group))


def test_a_weight_without_a_reference_is_refused(make_group: Callable[..., Group]) -> None:
    group = make_group([[0, 1]], reference_log_prob=None)
    assert kl_penalty(group, 0.0) == 0
    with pytest.raises(ConfigurationError, match="reference"):
        kl_penalty(group, 0.1)
