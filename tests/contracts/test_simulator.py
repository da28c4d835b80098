"""The laws of every simulator (`recsys.simulate.Simulator`); a new simulator is a row in `SIMULATORS`.

A row makes a simulator whose sessions are over within `STEPS` slates and that rewards some of the slates of three
random items; one whose sessions never end is `Endless(lambda: …)`. The example of docs/guide/bench.md is one of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from recsys.nn.affinity import inner_product
from recsys.simulate.click_models import PositionBasedModel
from recsys.simulate.dynamics import Recurrent, Reinforcing
from recsys.simulate.interest_evolution import InterestEvolution
from recsys.simulate.long_term_satisfaction import LongTermSatisfaction
from recsys.simulate.novelty_seeking import NoveltySeeking
from recsys.simulate.planted_groups import PlantedGroups
from recsys.simulate.simulator import PlantedTruth, Simulator, observed_fields, show, with_rows
from recsys.types.feedback import ChannelKind
from recsys.types.slates import Slates
from recsys.types.transition import Transition

USERS, SLOTS, STEPS = 64, 3, 40


class Endless(partial):
    """Makes a simulator whose sessions never end."""


def of_the_guide() -> Simulator[Any]:
    """The example of the page on the bench."""
    page = (Path(__file__).parents[2] / "docs/guide/bench.md").read_text()
    [code] = [one for one in re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S) if "class Coins" in one]
    names: dict[str, Any] = {}
    exec(compile("import torch\n" + code, "docs/guide/bench.md", "exec"), names)
    return names["Coins"](10, steps=4)


SIMULATORS: dict[str, Callable[[], Simulator[Any]]] = {
    "interest_evolution": lambda: InterestEvolution(budget=6.0),
    "interest_evolution_of_lasting_candidates": lambda: InterestEvolution(budget=6.0, resample=False),
    "long_term_satisfaction": lambda: LongTermSatisfaction(steps=4),
    "planted_groups": lambda: PlantedGroups(num_items=30, groups=5, width=4, steps=4, recent=5),
    "recurrent_users": lambda: PlantedGroups(30, 5, 4, steps=4, recent=5, dynamics=Recurrent(4)),
    "filter_bubble": lambda: PlantedGroups(
        30, 5, 4, steps=4, affinity=inner_product, dynamics=Reinforcing(), choice=PositionBasedModel((0.9, 0.6, 0.4))
    ),
    "novelty_seeking": lambda: NoveltySeeking(
        30, 4, profile=3, sessions=2, session_steps=2, window=3, recent=5, initial=2
    ),
    "example_of_the_guide": of_the_guide,
}
every_simulator = pytest.mark.parametrize("make", SIMULATORS.values(), ids=SIMULATORS)


def random_slates(simulator: Simulator[Any], generator: torch.Generator) -> Slates:
    """Distinct items a user; every fourth user is shown one item only."""
    items = torch.rand(USERS, simulator.num_items, generator=generator).topk(SLOTS).indices
    items[::4, 1:] = -1
    return Slates(items.unsqueeze(1), torch.full((USERS, 1, SLOTS), -1.5))


@every_simulator
def test_a_step_leaves_its_state_as_it_was(make: Callable[[], Simulator[Any]]) -> None:
    simulator, generator = make(), torch.Generator().manual_seed(0)
    assert isinstance(simulator, Simulator)
    state = simulator.reset(USERS, generator)
    parts = [getattr(state, field.name) for field in fields(state)]
    before = [None if part is None else part.clone() for part in parts]
    simulator.step(state, random_slates(simulator, generator), generator)
    assert all(one is None or torch.equal(one, other) for one, other in zip(parts, before, strict=True))


@every_simulator
def test_equal_generators_give_equal_answers(make: Callable[[], Simulator[Any]]) -> None:
    def rewards() -> torch.Tensor:
        simulator, generator = make(), torch.Generator().manual_seed(7)
        state, earned = simulator.reset(USERS, generator), []
        for _ in range(3):
            state, feedback, _ = simulator.step(state, random_slates(simulator, generator), generator)
            earned.append(feedback.reward)
        return torch.stack(earned)

    first = rewards()
    assert first.count_nonzero() > 10
    assert torch.equal(first, rewards())


@every_simulator
def test_only_shown_items_earn_and_nobody_earns_when_done(make: Callable[[], Simulator[Any]]) -> None:
    simulator, generator = make(), torch.Generator().manual_seed(1)
    state = simulator.reset(USERS, generator)
    for _ in range(STEPS):
        slates = random_slates(simulator, generator)
        after, feedback, done = simulator.step(state, slates, generator)
        assert feedback.reward.shape == (USERS, 1, SLOTS)
        assert not feedback.reward[slates.items < 0].any()
        assert not feedback.reward[state.done].any()
        assert all(not channel.value[state.done].any() for channel in feedback.channels.values())
        assert torch.equal(done, after.done)
        assert done[state.done].all()
        state = after
    assert not state.done.any() if isinstance(make, Endless) else state.done.all()


@every_simulator
def test_feedback_carries_the_probability_of_the_slate(make: Callable[[], Simulator[Any]]) -> None:
    simulator, generator = make(), torch.Generator().manual_seed(2)
    _, feedback, _ = simulator.step(simulator.reset(USERS, generator), random_slates(simulator, generator), generator)
    assert feedback.propensity is not None
    torch.testing.assert_close(feedback.propensity, torch.full((USERS, 1), -4.5).exp())


@every_simulator
def test_channels_say_what_they_are(make: Callable[[], Simulator[Any]]) -> None:
    simulator, generator = make(), torch.Generator().manual_seed(2)
    _, feedback, _ = simulator.step(simulator.reset(USERS, generator), random_slates(simulator, generator), generator)
    assert feedback.channels.keys() >= {"click", "reward"}
    assert feedback.channels["click"].kind is ChannelKind.BINARY
    assert (feedback.reward >= 0).all()
    assert torch.equal(feedback["click"] > 0, feedback.reward > 0)
    assert set(feedback["click"].unique().tolist()) == {0.0, 1.0}
    for channel in feedback.channels.values():
        assert channel.value.shape == (USERS, 1, SLOTS)
        assert (channel.unit == "s") == (channel.kind is ChannelKind.SECONDS)


@every_simulator
def test_policies_see_one_request_a_user(make: Callable[[], Simulator[Any]]) -> None:
    simulator, generator = make(), torch.Generator().manual_seed(3)
    context = simulator.observe(simulator.reset(USERS, generator))
    assert len(context) == USERS
    assert len(context.history) == USERS
    assert all(len(value) == USERS for value in observed_fields(context).values())
    rows = torch.tensor([5, 2])
    few = context.select(rows)
    assert type(few) is type(context) and len(few) == 2
    for name, value in observed_fields(few).items():
        assert torch.equal(value, observed_fields(context)[name][rows])


@every_simulator
def test_hidden_numbers_are_finite_and_one_a_user_under_the_same_names(make: Callable[[], Simulator[Any]]) -> None:
    simulator, generator = make(), torch.Generator().manual_seed(3)
    if not isinstance(simulator, PlantedTruth):
        return
    state, names = simulator.reset(USERS, generator), []
    for _ in range(STEPS):
        hidden = simulator.truth(state)
        names.append(set(hidden))
        assert all(one.shape == (USERS,) and one.isfinite().all() for one in hidden.values())
        assert all(torch.equal(one, hidden[name]) for name, one in simulator.truth(state).items())
        state, _, _ = simulator.step(state, random_slates(simulator, generator), generator)
    assert names[0] and all(one == names[0] for one in names)


@every_simulator
def test_users_whose_session_is_over_are_shown_nothing(make: Callable[[], Simulator[Any]]) -> None:
    simulator, generator = make(), torch.Generator().manual_seed(4)

    def shown(state: Any) -> tuple[Any, Transition]:
        return show(simulator, state, simulator.observe(state), random_slates(simulator, generator), generator)

    state = simulator.reset(USERS, generator)
    for _ in range(STEPS):
        if state.done.any():
            break
        state, transition = shown(state)
        assert transition.active.all() and (transition.slates.items[:, 0, 0] >= 0).all()
    after, transition = shown(state)
    assert torch.equal(transition.active, ~state.done)
    assert (transition.slates.items[state.done] == -1).all()
    assert torch.equal(transition.done, after.done)
    assert len(transition) == len(transition.next_context) == USERS


@every_simulator
def test_rows_of_a_state_are_taken_from_another(make: Callable[[], Simulator[Any]]) -> None:
    simulator, rows = make(), torch.arange(USERS) % 3 == 0
    first, second = (simulator.reset(USERS, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    mixed = with_rows(first, second, rows)
    for field in fields(mixed):
        found, kept, taken = (getattr(one, field.name) for one in (mixed, first, second))
        if found is not None:
            assert torch.equal(found[rows], taken[rows]) and torch.equal(found[~rows], kept[~rows])


@every_simulator
def test_slates_that_are_not_one_a_user_are_refused(make: Callable[[], Simulator[Any]]) -> None:
    simulator, generator = make(), torch.Generator().manual_seed(3)
    items = torch.zeros(USERS, 2, SLOTS, dtype=torch.int64)
    with pytest.raises(ValueError, match="one slate for each of 64 users"):
        simulator.step(simulator.reset(USERS, generator), Slates(items, items.float()), generator)
