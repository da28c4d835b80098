"""Best-of-N where all rewards are known: how far it moves from its policy, and what dividing a budget brings."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from recsys.metrics.intervals import Interval, bootstrap
from recsys.policies.allocation import AdaptiveAllocation, Allocation, UniformAllocation
from recsys.policies.best_of import BestOf, best_of_kl_bound
from recsys.policies.policy import SoftmaxPolicy
from recsys.rewards.reward import Reward
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates


class Known(Reward):
    """The reward of each item for each user, by a table `[U, N]`."""

    order_matters, bounds = False, None

    def __init__(self, table: Tensor) -> None:
        self.table = table

    def __call__(self, example: Example, slates: Slates) -> Tensor:
        return self.table[example.context.users.unsqueeze(1), slates.items.squeeze(-1)]


def uniform_policy(items: int) -> SoftmaxPolicy:
    return SoftmaxPolicy(lambda context: torch.zeros(len(context), items))


def requests(users: Tensor) -> Context:
    return Context(users, Jagged.empty(len(users)), Jagged.empty(len(users)))


def divergence(probability: Tensor, reward: list[float], candidates: int) -> float:
    """`KL(best of N ‖ policy)` over all `K^N` tuples of samples, each weighed by its probability."""
    tuples = torch.tensor(list(itertools.product(range(len(reward)), repeat=candidates)))
    table = torch.tensor([reward]).expand(len(tuples), -1)
    chooser = BestOf(uniform_policy(len(reward)), Known(table), candidates)
    slates = Slates(tuples.unsqueeze(-1), torch.zeros(*tuples.shape, 1))
    chosen = chooser.among(requests(torch.arange(len(tuples))), slates).slates.items.flatten()
    weight = probability.double()[tuples].prod(1)
    best = torch.zeros(len(reward), dtype=torch.float64).index_add(0, chosen, weight)
    assert float(best.sum()) == pytest.approx(1.0)
    return float(torch.special.xlogy(best, best / probability.double()).sum())


@pytest.mark.parametrize("candidates", [1, 2, 3, 5])
@pytest.mark.parametrize("probability", [[0.25] * 4, [0.7, 0.1, 0.1, 0.1], [0.05, 0.15, 0.3, 0.5]])
def test_golden_value_of_the_divergence_of_best_of_n(probability: list[float], candidates: int) -> None:
    law = torch.tensor(probability)
    found = divergence(law, [0.0, 1.0, 2.0, 3.0], candidates)
    below = law.double().cumsum(0)
    best = below**candidates - (below - law.double()) ** candidates
    assert found == pytest.approx(float((best * (best / law.double()).log()).sum()), abs=1e-6), "the order statistic"
    assert -1e-9 <= found <= best_of_kl_bound(candidates) + 1e-9
    assert (found < 1e-6) == (candidates == 1)


def test_the_bound_is_reached_by_many_improbable_slates() -> None:
    items, candidates = 400, 2
    assert divergence(torch.full((items,), 1 / items), [float(item) for item in range(items)], candidates) == (
        pytest.approx(best_of_kl_bound(candidates), rel=0.01)
    )


@pytest.mark.parametrize("candidates", [2, 4])
def test_equal_rewards_leave_the_divergence_smaller(candidates: int) -> None:
    law = torch.tensor([0.1, 0.2, 0.3, 0.4])
    distinct = divergence(law, [0.0, 1.0, 2.0, 3.0], candidates)
    tied = divergence(law, [0.0, 0.0, 1.0, 1.0], candidates)
    merged = divergence(torch.tensor([0.3, 0.7]), [0.0, 1.0], candidates)
    assert 0 < tied < distinct
    assert tied == pytest.approx(merged, abs=1e-6), "inside a tie the policy decides"
    assert divergence(law, [1.0] * 4, candidates) == pytest.approx(0.0, abs=1e-6)


def test_golden_values_of_the_bound() -> None:
    assert best_of_kl_bound(1) == 0
    assert best_of_kl_bound(4) == pytest.approx(math.log(4) - 0.75)


USERS, ITEMS, CANDIDATES, WORLDS = 24, 100, 16, 30


def gain(spread: Tensor, allocation: Allocation) -> Interval:
    """How much more the best of so many candidates is worth, mean over users, than with as many for each."""
    policy = uniform_policy(ITEMS)
    worlds = []
    for world in range(WORLDS):
        rng = torch.Generator().manual_seed(world)
        reward = Known(torch.randn(USERS, ITEMS, generator=rng) * spread.unsqueeze(1))
        found = []
        for each in (allocation, UniformAllocation()):
            chooser = BestOf(policy, reward, CANDIDATES, each)
            best = chooser.best(requests(torch.arange(USERS)), 1, torch.Generator().manual_seed(1000 + world))
            assert int(best.sampled.sum()) == USERS * CANDIDATES
            found.append(best.reward.mean())
        worlds.append(found[0] - found[1])
    return bootstrap(torch.stack(worlds).view(1, -1, 1), torch.arange(WORLDS), seed=0)[0]


def test_dividing_the_budget_pays_where_spreads_differ() -> None:
    unequal = torch.ones(USERS)
    unequal[::4] = 8.0
    found = gain(unequal, AdaptiveAllocation())
    assert found.low is not None and found.low > 0.05


def test_dividing_the_budget_changes_nothing_where_requests_are_alike() -> None:
    found = gain(torch.ones(USERS), AdaptiveAllocation())
    assert found.low is not None and found.high is not None and found.low < 0 < found.high
    assert abs(found.value) < 0.05, "of a best reward of 1.77"
    assert gain(torch.zeros(USERS), AdaptiveAllocation()).value == 0
