"""A world whose best policy is known, and whose log hides it.

After item `s` the world's bait is `s + 5` and its best item `s + 1` (modulo 16). They are worth .3 and 1 to the user,
everything else nothing. The policy that wrote the log showed the bait seven times in ten and the best item twice, so
that whoever imitates the log earns .7 · .3 + .2 · 1 = .41 of the 1 that can be earned, however well it imitates.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from recsys.objectives.expected_reward import without_replacement
from recsys.objectives.group_relative import grpo
from recsys.objectives.likelihood import legal_set_cross_entropy
from recsys.objectives.objective import Loss
from recsys.rewards.reward import HitReward
from recsys.systems.group_policy_optimisation import GroupPolicyOptimisation
from recsys.systems.group_sampling import GroupSampler, IndependentSampler, StochasticBeamSampler
from recsys.systems.sequential import SequentialSystem
from recsys.systems.supervised import SupervisedSystem
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.jagged import Jagged
from recsys.types.rollout import Rollout
from recsys.types.slates import Slates
from tests.tiny import tiny_generator

ITEMS, BEST, BAIT = 16, 1, 5
WORTH = torch.zeros(ITEMS).index_put((torch.tensor([BEST, BAIT]),), torch.tensor([1.0, 0.3]))
SHOWN = torch.full((ITEMS,), 0.1 / 14).index_put((torch.tensor([BEST, BAIT]),), torch.tensor([0.2, 0.7]))
"""Probability of each step from an item to the next in the log."""


class Worth:
    """What the slate's item is worth behind the last item of the history. It does not read the logged item."""

    order_matters, bounds = False, (0.0, 1.0)

    def __call__(self, example: Example, slates: Slates) -> Tensor:
        step = (slates.items.squeeze(-1) - last_item(example.context).unsqueeze(1)) % ITEMS
        return WORTH[step].where(slates.mask, torch.tensor(0.0))


def last_item(context: Context) -> Tensor:
    return context.history.values[context.history.offsets[1:] - 1]


def log_of(users: int, seed: int) -> Context:
    """Histories of eight items written by the logging policy."""
    rng = torch.Generator().manual_seed(seed)
    steps = torch.multinomial(SHOWN, users * 8, replacement=True, generator=rng).view(users, 8)
    history = ((torch.randint(ITEMS, (users, 1), generator=rng) + steps.cumsum(1)) % ITEMS).flatten()
    return Context(torch.arange(users), Jagged(history, torch.arange(users + 1) * 8), Jagged.empty(users))


def steps_of(system: SequentialSystem, steps: int) -> None:
    """Training on fresh histories at every step."""
    system.log_dict = lambda *_, **__: None  # type: ignore[method-assign]
    optimizer = torch.optim.Adam(system.network.parameters(), lr=0.01)
    for step in range(steps):
        loss = system.training_step(log_of(16, seed=step), step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.no_grad()
def expected_worth(system: SequentialSystem) -> float:
    """Exact: every item's probability times its worth, after fresh histories."""
    requests = log_of(64, seed=10_000)
    chances = system.policy.catalogue_log_prob(requests).exp()
    step = (torch.arange(ITEMS) - last_item(requests).unsqueeze(1)) % ITEMS
    return float((chances * WORTH[step]).sum(1).mean())


@pytest.fixture(scope="module")
def imitated() -> dict[str, Tensor]:
    """Weights after next-item training on the log."""
    torch.manual_seed(0)
    system = SupervisedSystem(
        tiny_generator(dropout=0.0, items=ITEMS), legal_set_cross_entropy, torch.optim.Adam, repeats=True
    )
    steps_of(system, 200)
    return system.network.state_dict()


def started(system: SequentialSystem, weights: dict[str, Tensor]) -> SequentialSystem:
    system.network.load_state_dict(weights)
    return system


def test_imitation_earns_what_the_log_earned(imitated: dict[str, Tensor]) -> None:
    system = SupervisedSystem(
        tiny_generator(dropout=0.0, items=ITEMS), legal_set_cross_entropy, torch.optim.Adam, repeats=True
    )
    untrained = expected_worth(system)
    found = expected_worth(started(system, imitated))
    assert untrained == pytest.approx(1.3 / ITEMS, abs=0.05)
    assert found == pytest.approx(0.41, abs=0.05)
    steps_of(system, 50)
    assert expected_worth(system) == pytest.approx(0.41, abs=0.05), "more imitation does not help"


@pytest.mark.parametrize(
    ("objective", "rollout"),
    [(grpo, IndependentSampler(8)), (without_replacement, StochasticBeamSampler(4))],
    ids=["grpo", "without replacement"],
)
def test_reward_training_finds_the_best_item(
    objective: Callable[[Rollout], Loss], rollout: GroupSampler, imitated: dict[str, Tensor]
) -> None:
    make: Callable[..., Any] = partial(
        GroupPolicyOptimisation, reward=Worth(), objective=objective, optimizer=torch.optim.Adam
    )
    system = started(make(tiny_generator(dropout=0.0, items=ITEMS), rollout, repeats=True), imitated)
    steps_of(system, 100)
    assert expected_worth(system) >= 0.95


def test_it_is_the_reward_that_finds_it(imitated: dict[str, Tensor]) -> None:
    """The same training rewarded for what the log shows next ends at the bait, below the log."""
    system = GroupPolicyOptimisation(
        tiny_generator(dropout=0.0, items=ITEMS),
        IndependentSampler(8),
        HitReward(),
        grpo,
        torch.optim.Adam,
        repeats=True,
    )
    steps_of(started(system, imitated), 200)
    assert expected_worth(system) == pytest.approx(0.3, abs=0.06)
