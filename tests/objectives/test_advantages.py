from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.objectives.advantages import centred, group_normalised


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
