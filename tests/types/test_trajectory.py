from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch

from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.feedback import Feedback
from recsys.types.jagged import Jagged
from recsys.types.slates import SamplingMethod, Slates
from recsys.types.trajectory import Trajectory


def trajectory(users: int, first: int = 0, steps: int = 2, critic: bool = True, **latents: float) -> Trajectory:
    """Step `t` of user `u` shows item `10 t + u` and earns as much; the last user's session is over after step 0."""
    grid = torch.arange(steps).view(-1, 1) * 10 + first + torch.arange(users)
    items = grid.view(-1, 1, 1)
    context = Context(grid.flatten(), Jagged.empty(steps * users), Jagged.empty(steps * users))
    slates = Slates(items, torch.zeros(items.shape), SamplingMethod.SAMPLE)
    active = torch.ones(steps, users, dtype=torch.bool)
    active[1:, -1:] = False
    named = {name: torch.full((steps, users), value) for name, value in latents.items()}
    value = torch.zeros(steps + 1, users) + first if critic else None
    return Trajectory(
        Example(context, slates, Feedback.of_reward(items.float())), active, ~active.roll(-1, 0), value, named
    )


def test_the_reward_is_a_step_s_and_nothing_after_the_end() -> None:
    assert trajectory(3).reward.tolist() == [[0, 1, 2], [10, 11, 0]]
    assert len(trajectory(3)) == 3


def test_users_are_selected_with_all_their_steps() -> None:
    found = trajectory(3, goal=0.5).select(torch.tensor([2, 0, 2]))
    assert found.example.slates.items.flatten().tolist() == [2, 0, 2, 12, 10, 12]
    assert found.active.tolist() == [[True, True, True], [False, True, False]]
    assert found.latents["goal"].shape == found.done.shape == (2, 3)
    assert trajectory(3).select(torch.tensor([], dtype=torch.int64)).reward.shape == (2, 0)


def test_joined_users_are_those_of_one_record_after_the_other() -> None:
    joined = Trajectory.cat([trajectory(2, goal=0.5), trajectory(0), trajectory(1, first=5, goal=1.5)][::2])
    assert joined.example.slates.items.flatten().tolist() == [0, 1, 5, 10, 11, 15]
    assert joined.reward.tolist() == [[0, 1, 5], [10, 0, 0]]
    assert joined.value is not None and joined.value.tolist() == [[0, 0, 5]] * 3
    assert joined.latents["goal"].tolist() == [[0.5, 0.5, 1.5]] * 2


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"steps": 3}, r"different numbers of steps: \[2, 3\]"),
        ({"critic": False}, "Trajectory.value: some records have it, others lack it"),
        ({"goal": 1.0}, r"Trajectory.latents: the records name \[\[\], \['goal'\]\]"),
    ],
)
def test_what_only_some_records_have_is_refused(other: Mapping[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Trajectory.cat([trajectory(2), trajectory(2, **other)])  # type: ignore[arg-type]


def test_nothing_to_join_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one record"):
        Trajectory.cat([])
