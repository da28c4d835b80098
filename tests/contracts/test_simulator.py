"""What every simulated world owes its callers; a new one is a row in `WORLDS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
import torch

from recsys.nn.affinity import inner_product
from recsys.simulate.click_models import PositionBasedModel
from recsys.simulate.dynamics import Recurrent, Reinforcing
from recsys.simulate.interest_evolution import InterestEvolution
from recsys.simulate.long_term_satisfaction import LongTermSatisfaction
from recsys.simulate.planted_groups import PlantedGroups
from recsys.simulate.simulator import Simulator
from recsys.types.slates import Slates

USERS, SLOTS = 64, 3
WORLDS: dict[str, Callable[[], Simulator[Any]]] = {
    "interest_evolution": lambda: InterestEvolution(budget=6.0),
    "interest_evolution_of_lasting_candidates": lambda: InterestEvolution(budget=6.0, resample=False),
    "long_term_satisfaction": lambda: LongTermSatisfaction(steps=4),
    "planted_groups": lambda: PlantedGroups(num_items=30, groups=5, width=4, steps=4, recent=5),
    "recurrent_users": lambda: PlantedGroups(30, 5, 4, steps=4, recent=5, dynamics=Recurrent(4)),
    "filter_bubble": lambda: PlantedGroups(
        30, 5, 4, steps=4, affinity=inner_product, dynamics=Reinforcing(), choice=PositionBasedModel((0.9, 0.6, 0.4))
    ),
}
every_world = pytest.mark.parametrize("make", WORLDS.values(), ids=WORLDS)


def random_slates(world: Simulator[Any], generator: torch.Generator) -> Slates:
    """Distinct items a user; every fourth user is shown one item only."""
    items = torch.rand(USERS, world.num_items, generator=generator).topk(SLOTS).indices
    items[::4, 1:] = -1
    return Slates(items.unsqueeze(1), torch.full((USERS, 1, SLOTS), -1.5))


@every_world
def test_a_step_leaves_its_state_as_it_was(make: Callable[[], Simulator[Any]]) -> None:
    world, generator = make(), torch.Generator().manual_seed(0)
    assert isinstance(world, Simulator)
    state = world.reset(USERS, generator)
    parts = [getattr(state, field.name) for field in fields(state)]
    before = [None if part is None else part.clone() for part in parts]
    world.step(state, random_slates(world, generator), generator)
    assert all(one is None or torch.equal(one, other) for one, other in zip(parts, before, strict=True))


@every_world
def test_equal_generators_give_equal_answers(make: Callable[[], Simulator[Any]]) -> None:
    def rewards() -> torch.Tensor:
        world, generator = make(), torch.Generator().manual_seed(7)
        state, earned = world.reset(USERS, generator), []
        for _ in range(3):
            state, feedback = world.step(state, random_slates(world, generator), generator)
            earned.append(feedback.reward)
        return torch.stack(earned)

    first = rewards()
    assert first.count_nonzero() > 10
    assert torch.equal(first, rewards())


@every_world
def test_only_shown_items_earn_and_nobody_earns_when_done(make: Callable[[], Simulator[Any]]) -> None:
    world, generator = make(), torch.Generator().manual_seed(1)
    state = world.reset(USERS, generator)
    for _ in range(40):
        slates = random_slates(world, generator)
        after, feedback = world.step(state, slates, generator)
        assert feedback.reward.shape == (USERS, 1, SLOTS)
        assert not feedback.reward[slates.items < 0].any()
        assert not feedback.reward[state.done].any()
        assert after.done[state.done].all()
        state = after
    assert state.done.all()


@every_world
def test_feedback_carries_the_probability_of_the_slate(make: Callable[[], Simulator[Any]]) -> None:
    world, generator = make(), torch.Generator().manual_seed(2)
    _, feedback = world.step(world.reset(USERS, generator), random_slates(world, generator), generator)
    assert feedback.propensity is not None
    torch.testing.assert_close(feedback.propensity, torch.full((USERS, 1), -4.5).exp())


@every_world
def test_policies_see_one_request_a_user(make: Callable[[], Simulator[Any]]) -> None:
    world, generator = make(), torch.Generator().manual_seed(3)
    context = world.observe(world.reset(USERS, generator))
    assert len(context) == USERS
    assert len(context.history) == USERS
    assert all(len(value) == USERS for value in context.features.values())


@every_world
def test_slates_that_are_not_one_a_user_are_refused(make: Callable[[], Simulator[Any]]) -> None:
    world, generator = make(), torch.Generator().manual_seed(3)
    items = torch.zeros(USERS, 2, SLOTS, dtype=torch.int64)
    with pytest.raises(ValueError, match="one slate for each of 64 users"):
        world.step(world.reset(USERS, generator), Slates(items, items.float()), generator)
