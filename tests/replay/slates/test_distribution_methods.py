from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recsys.errors import ConfigurationError, RequestError
from recsys.policies.bandits.greedy import UniformPolicy
from recsys.replay.slates.batch import SlateBatch
from recsys.replay.slates.distribution import ListedSlates, SlateDistribution, with_distribution
from recsys.replay.slates.distribution_methods import SampledSlates
from recsys.replay.slates.pseudo_inverse import pseudo_inverse, uniform_pseudo_inverse
from tests.policies.contexts import requests
from tests.replay.slates.worlds import World, world


def rows(made: World) -> tuple[SlateBatch, torch.Tensor]:
    """Every slate once, and which request it answers."""
    rounds, _ = made.rows()
    counts = [sum(2 ** sum(item >= 0 for item in slate) for slate in slates) for slates in made.slates]
    return rounds, torch.arange(3).repeat_interleave(torch.tensor(counts))


@pytest.mark.parametrize("repeats", [False, True])
def test_listed_slates_say_what_sums_over_the_tables_say(repeats: bool) -> None:
    made = world("anything", repeats=repeats)
    rounds, request = rows(made)
    bare = replace(rounds, logging_at=None, target_at=None)
    for side, policy in (("logging", made.logging), ("target", made.target)):
        distribution = made.distribution(policy, request.tolist())
        assert isinstance(distribution, SlateDistribution)
        bare = with_distribution(bare, side, distribution)
    for name in ("logging_at", "target_at"):
        assert torch.allclose(getattr(bare, name), getattr(rounds, name)), name


def test_a_slate_that_its_policy_never_shows_is_refused() -> None:
    distribution = ListedSlates(torch.tensor([[[0, 1]]]), torch.ones(1, 1))
    rounds = SlateBatch(torch.tensor([[0, 1], [1, 0]]), torch.ones(2, 2))
    with pytest.raises(RequestError, match=r"no chance .* in 1 rows of the batch, first in row 1"):
        with_distribution(rounds, "logging", distribution)
    assert with_distribution(rounds, "target", distribution).target_at is not None


@pytest.mark.parametrize(("num_items", "slots"), [(3, 2), (4, 3), (3, 3)])
def test_the_formula_for_logs_ranked_at_random_is_the_pseudo_inverse(num_items: int, slots: int) -> None:
    made = world("sum", "uniform", num_items=num_items, slots=slots)
    rounds, _ = made.rows()
    assert rounds.target_at is not None and rounds.pseudo_inverse is not None
    found = uniform_pseudo_inverse(rounds.items, rounds.target_at, torch.full((len(rounds),), num_items))
    assert torch.allclose(found, rounds.pseudo_inverse)
    assert found.std() > 0.1


def drawn(distribution: ListedSlates, draws: int, seed: int) -> ListedSlates:
    generator = torch.Generator().manual_seed(seed)
    index = torch.multinomial(distribution.probability, draws, replacement=True, generator=generator)
    items = distribution.items.gather(1, index.unsqueeze(2).expand(-1, -1, distribution.items.shape[2]))
    return ListedSlates(items, torch.full(index.shape, 1 / draws, dtype=torch.float64), sampled=True)


@pytest.mark.parametrize("sampled", ["logging", "target", "both"])
@pytest.mark.parametrize("repeats", [False, True])
def test_errors_of_sampled_weights_are_their_spread(sampled: str, repeats: bool) -> None:
    made = world("sum", repeats=repeats)
    logging, target = (made.distribution(policy, [0]) for policy in (made.logging, made.target))
    items = torch.tensor([[0, 1, 2], [3, 1, 0], [1, 2, 3]])
    exact = pseudo_inverse(items, logging, target, 4)
    assert (exact.error == 0).all()
    found = [
        pseudo_inverse(
            items,
            drawn(logging, 4_000, seed) if sampled != "target" else logging,
            drawn(target, 4_000, 100 + seed) if sampled != "logging" else target,
            4,
        )
        for seed in range(60)
    ]
    error = torch.stack([one.error for one in found]).mean(0)
    missed = torch.stack([one.weight for one in found]) - exact.weight
    assert (missed.mean(0).abs() < 4 * error / 60**0.5).all()
    assert ((missed.std(0) / error - 1).abs() < 0.35).all()


def test_errors_of_sampled_probabilities_are_their_spread() -> None:
    distribution = world("sum").distribution(world("sum").logging, [0])
    items = torch.tensor([[0, 1, 2]])
    found = torch.stack([drawn(distribution, 500, seed).at(items) for seed in range(200)])
    error = drawn(distribution, 500, 0).error(distribution.at(items))
    assert ((found.std(0) / error - 1).abs() < 0.25).all()
    assert (distribution.error(distribution.at(items)) == 0).all()


def test_too_many_pairs_are_refused() -> None:
    distribution = ListedSlates(torch.tensor([[[0, 1]]]), torch.ones(1, 1))
    with pytest.raises(RequestError, match=r"2 slots of 600 items make 1,200 pairs"):
        pseudo_inverse(torch.tensor([[0, 1]]), distribution, distribution, 600)


def test_samples_follow_their_seed_and_differ_from_call_to_call() -> None:
    policy, context = UniformPolicy(5), requests([[]])
    first, again, other = (SampledSlates(50, seed=seed) for seed in (1, 1, 2))
    found = [method(policy, context, 2).items for method in (first, again, other)]
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
    assert not torch.equal(first(policy, context, 2).items, found[0])
    with pytest.raises(ConfigurationError, match="num_samples=0"):
        SampledSlates(0)
