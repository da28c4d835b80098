from __future__ import annotations

import pytest
import torch

from recsys.nn.affinity import inner_product, negative_distance
from recsys.simulate.choice_models import MultinomialLogit
from recsys.simulate.dynamics import GammaLinear, Reinforcing
from recsys.simulate.planted_groups import PlantedGroups, with_clicked
from tests.simulate.worlds import everyone_gets

ALWAYS = MultinomialLogit(no_click=-torch.inf)
USERS = 256


def test_items_lie_around_their_groups_centre() -> None:
    world = PlantedGroups(num_items=20_000, groups=4, width=6, spread=0.05)
    centres = torch.stack([world.items[world.group == one].mean(0) for one in range(4)])
    assert ((centres.norm(dim=1) > 0.09) & (centres.norm(dim=1) < 0.81)).all()
    residual = world.items - centres[world.group]
    assert residual.std().item() == pytest.approx(0.05, rel=0.02)


def test_equal_seeds_plant_equal_items() -> None:
    first, second, other = (PlantedGroups(40, 4, seed=seed).items for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_scores_are_what_the_choice_is_given() -> None:
    world = PlantedGroups(num_items=12, groups=3, width=4, sharpness=2.0, choice=MultinomialLogit(0.5))
    state = world.reset(40_000, torch.Generator().manual_seed(0))
    expected = MultinomialLogit(0.5).click_probability(world.scores(state)[:, :2], torch.ones(40_000, 2).bool())
    _, feedback, _ = world.step(state, everyone_gets([0, 1], 40_000), torch.Generator().manual_seed(1))
    torch.testing.assert_close(feedback.reward[:, 0].mean(0), expected.mean(0), atol=0.01, rtol=0)


def test_clicks_become_history_in_their_order() -> None:
    world = PlantedGroups(num_items=12, groups=3, width=4, choice=ALWAYS, recent=2)
    generator = torch.Generator().manual_seed(0)
    state = world.reset(2, generator)
    for item in (3, 5, 7):
        state, _, _ = world.step(state, everyone_gets([item], 2), generator)
    history = world.observe(state).history
    assert (history.values.tolist(), history.lengths.tolist()) == ([5, 7, 5, 7], [2, 2])


def test_an_unclicked_slate_leaves_the_history_alone() -> None:
    kept = with_clicked(torch.tensor([[-1, 4]]), torch.tensor([[7, 8]]), torch.zeros(1, 2, dtype=torch.bool))
    assert kept.tolist() == [[-1, 4]]


def test_a_linear_user_comes_to_the_item_that_is_clicked_again_and_again() -> None:
    world = PlantedGroups(num_items=12, groups=3, width=4, choice=ALWAYS, dynamics=GammaLinear(0.5), steps=30)
    generator = torch.Generator().manual_seed(0)
    state = world.reset(USERS, generator)
    for _ in range(25):
        state, _, _ = world.step(state, everyone_gets([4], USERS), generator)
    torch.testing.assert_close(state.hidden, world.items[4].expand(USERS, -1), atol=1e-5, rtol=0)
    assert (world.scores(state).argmax(1) == 4).all()


def test_reinforced_interests_run_away_under_a_greedy_policy() -> None:
    world = PlantedGroups(
        30, 5, 4, affinity=inner_product, sharpness=5.0, dynamics=Reinforcing(gain=0.2), choice=ALWAYS, steps=60
    )
    generator = torch.Generator().manual_seed(0)
    state = start = world.reset(USERS, generator)
    for _ in range(50):
        best = world.scores(state).topk(3).indices
        slates = everyone_gets([0, 0, 0], USERS)
        state, _, _ = world.step(state, type(slates)(best.unsqueeze(1), slates.log_prob), generator)
    spread = world.scores(state).softmax(1).max(1).values
    assert spread.mean() > 0.5 > 2 * world.scores(start).softmax(1).max(1).values.mean()


def test_the_two_affinities_equal_their_formulas() -> None:
    users, items = torch.randn(3, 4), torch.randn(5, 4)
    own = items.expand(3, 5, 4)
    expected = -(users.unsqueeze(1) - items).square().sum(-1).sqrt()
    for form in (items, own):
        torch.testing.assert_close(negative_distance(users, form), expected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(inner_product(users, form), users @ items.T)
