from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from recsys.errors import ConfigurationError
from recsys.models.slates.initial_state import InitialState
from recsys.models.slates.item_posterior import FlatItems, GroupedItems
from recsys.models.slates.slate_model import SlateModel
from recsys.models.slates.user_state import GammaLinearUser, MarkovUser, RecurrentUser
from recsys.nn.affinity import inner_product, negative_distance
from recsys.policies.bandits.greedy import Greedy, UpperConfidenceBound
from recsys.policies.bandits.thompson import InSlateThompson, SlateThompson
from recsys.policies.scorer import OnlineLearner, Posterior
from recsys.policies.slate_posterior import InnerProductPosterior, SlatePosterior
from recsys.types.feedback import Feedback
from recsys.types.transition import Transition
from tests.policies.contexts import requests

GROUP = torch.tensor([0, 0, 1, 1, 1])
ITEMS, WIDTH = len(GROUP), 3
CONTEXT = requests([[], [2], [0, 1, 0, 4]])
FEW, MANY = 64, 3000


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model(
    affinity: Callable, deviation: float = 0.4, grouped: bool = True, user=None, start: float = 0.5
) -> SlateModel:
    torch.manual_seed(0)
    shared = {"width": WIDTH, "deviation": deviation, "initial": 1.0}
    items = GroupedItems(GROUP, **shared) if grouped else FlatItems(ITEMS, **shared)
    user = user or GammaLinearUser(0.6)
    made = SlateModel(items, user, 2, affinity, InitialState(start), deviation)
    return made.requires_grad_(False)


KINDS = {
    "inner_product": (InnerProductPosterior, inner_product),
    "pool_of_inner_products": (SlatePosterior, inner_product),
    "pool_of_distances": (SlatePosterior, negative_distance),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def posterior_of(kind: str, pool: int = FEW, **options: Any) -> SlatePosterior:
    made, affinity = KINDS[kind]
    return made(model(affinity, **options), seeded(), pool)


@pytest.mark.parametrize("grouped", [True, False])
def test_draws_have_the_mean_and_deviation_of_the_closed_form(grouped: bool) -> None:
    posterior = posterior_of("inner_product", MANY, grouped=grouped)
    drawn = posterior.sampled_scores(CONTEXT, torch.arange(MANY).expand(3, -1))
    scores, deviation = posterior.scores(CONTEXT), posterior.deviation(CONTEXT)
    assert ((drawn.mean(1) - scores).abs() < 4.5 * deviation / MANY**0.5 + 1e-5).all()
    torch.testing.assert_close(drawn.std(1), deviation, rtol=0.1, atol=1e-5)
    assert (deviation > 0.01).all()


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"inner_product"}))
@pytest.mark.parametrize("grouped", [True, False])
def test_mean_and_deviation_are_those_of_the_pool(kind: str, grouped: bool) -> None:
    posterior = posterior_of(kind, grouped=grouped)
    drawn = posterior.sampled_scores(CONTEXT, torch.arange(FEW).expand(3, -1))
    torch.testing.assert_close(posterior.scores(CONTEXT), drawn.mean(1))
    torch.testing.assert_close(posterior.deviation(CONTEXT), drawn.std(1, correction=0))
    assert posterior.deviation(CONTEXT).min() > 0.01


@every_kind
@pytest.mark.parametrize("user", [MarkovUser(), RecurrentUser(WIDTH)], ids=["markov", "recurrent"])
def test_without_uncertainty_all_draws_are_the_likelihoods_own_score(kind: str, user) -> None:
    posterior = posterior_of(kind, deviation=1e-5, user=user, start=1e-6)
    with torch.no_grad():
        clicked = torch.tensor([[[0], [1], [0], [4], [0]]])
        values = posterior.model.means(clicked)
        users = posterior.model.forecast(values, torch.zeros(1, 5, dtype=torch.int64))[0, [0, 4]]
        vectors, _ = posterior.model.items.moments(torch.arange(ITEMS))
        expected = posterior.model.affinity(users, vectors)
    found = posterior.sampled_scores(CONTEXT, torch.tensor([[0, 7]] * 3))
    for draw in (0, 1):
        torch.testing.assert_close(found[[0, 2], draw], expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(posterior.scores(CONTEXT)[[0, 2]], expected, atol=1e-3, rtol=0)
    assert posterior.deviation(CONTEXT).max() < 1e-3


@pytest.mark.parametrize("affinity", [inner_product, negative_distance])
def test_a_draw_is_one_of_everything(affinity: Callable) -> None:
    posterior = SlatePosterior(model(affinity), seeded(), pool=6)
    which = torch.tensor([[5, 0, 5], [1, 1, 2], [3, 4, 0]])
    found = posterior.sampled_scores(CONTEXT, which)
    for row in range(3):
        for place, draw in enumerate(which[row].tolist()):
            vectors = posterior.draws[draw]
            clicked = CONTEXT.history.values[CONTEXT.history.row_ids() == row]
            mean, deviation = posterior.model.initial_state.posterior(vectors[clicked], torch.ones(len(clicked)).bool())
            z = mean[-1] + deviation[-1] * posterior.initial_noise[draw]
            for item in clicked.tolist():
                z = 0.6 * z + 0.4 * vectors[item]
            torch.testing.assert_close(found[row, place], affinity(z.unsqueeze(0), vectors)[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("grouped", [True, False])
def test_the_closed_form_by_hand(grouped: bool) -> None:
    posterior = InnerProductPosterior(model(inner_product, grouped=grouped), seeded(), pool=2)
    mean, variance = posterior.model.items.moments(torch.arange(ITEMS))
    start, unknown = posterior.model.initial_state.posterior(mean[2:3], torch.tensor([True]))
    z, spread = 0.6 * start[-1] + 0.4 * mean[2], (0.6 * unknown[-1, 0]) ** 2
    torch.testing.assert_close(posterior.scores(CONTEXT)[1], mean @ z)
    expected = torch.stack(
        [
            (z @ torch.diag(own) @ z + spread * (one @ one + own.sum())).sqrt()
            for one, own in zip(mean, variance, strict=True)
        ]
    )
    torch.testing.assert_close(posterior.deviation(CONTEXT)[1], expected)


def test_the_closed_form_refuses_another_affinity() -> None:
    with pytest.raises(ConfigurationError, match="Use SlatePosterior"):
        InnerProductPosterior(model(negative_distance), seeded())


@every_kind
def test_it_is_a_posterior_that_does_not_learn(kind: str) -> None:
    posterior = posterior_of(kind)
    assert isinstance(posterior, Posterior) and not isinstance(posterior, OnlineLearner)


@pytest.mark.parametrize("act", [InSlateThompson, SlateThompson, Greedy, lambda one: Greedy(UpperConfidenceBound(one))])
def test_whoever_acts_on_it_stays_as_it_is(act: Callable) -> None:
    policy = act(SlatePosterior(model(negative_distance), seeded(), pool=16))
    first = policy.sample(CONTEXT, 3, 2, seeded(1))
    policy.update(Transition.one_round(CONTEXT, first, Feedback.of_reward(torch.ones(3, 1, 2))), seeded(2))
    again = policy.sample(CONTEXT, 3, 2, seeded(1))
    assert torch.equal(first.items, again.items)


def test_more_uncertain_items_make_more_diverse_slates() -> None:
    pairs = []
    for deviation in (1e-5, 0.5, 3.0):
        posterior = SlatePosterior(model(negative_distance, deviation, grouped=False), seeded(), pool=200)
        slates = InSlateThompson(posterior).sample(requests([[0, 0, 0]]), 400, 2, seeded(1)).items[0]
        pairs.append(len({tuple(slate) for slate in slates.tolist()}))
    assert pairs[0] == 1 and pairs[0] < pairs[1] < pairs[2]


def test_the_pool_travels_with_the_state_and_depends_on_its_generator() -> None:
    first, other = (SlatePosterior(model(negative_distance), seeded(seed), pool=4) for seed in (0, 1))
    which = torch.tensor([[0, 3]] * 3)
    assert not torch.equal(first.sampled_scores(CONTEXT, which), other.sampled_scores(CONTEXT, which))
    other.load_state_dict(first.state_dict())
    assert torch.equal(first.sampled_scores(CONTEXT, which), other.sampled_scores(CONTEXT, which))


def test_a_pool_drawn_anew_is_another_and_by_its_generator() -> None:
    posterior = SlatePosterior(model(negative_distance), seeded(), pool=4)
    first, starts = posterior.draws, posterior.initial_noise
    posterior.redraw(seeded(1))
    assert not torch.isclose(first, posterior.draws).any() and not torch.isclose(starts, posterior.initial_noise).any()
    posterior.redraw(seeded())
    assert torch.equal(first, posterior.draws) and torch.equal(starts, posterior.initial_noise)


def test_padding_of_histories_changes_nothing() -> None:
    posterior = SlatePosterior(model(negative_distance), seeded(), pool=4)
    which = torch.arange(4).expand(3, -1)
    together = posterior.sampled_scores(CONTEXT, which)
    for row in range(3):
        alone = posterior.sampled_scores(CONTEXT.select(torch.tensor([row])), which[:1])
        torch.testing.assert_close(alone[0], together[row])
