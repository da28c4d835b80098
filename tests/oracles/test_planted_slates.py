"""The slate model in a world whose truth is known: how much of it the clicks give away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import pytest
import torch

from recsys.bench.record import record_episode
from recsys.data.datasets.slate_loader import SlateLoader
from recsys.data.datasets.split import SlateSplit, split_slates_by_steps
from recsys.data.datasets.user_slates import Exposure, UserSlates
from recsys.models.slates.choice import click_log_prob
from recsys.models.slates.initial_state import InitialState
from recsys.models.slates.item_posterior import FlatItems, GroupedItems, ItemPosterior
from recsys.models.slates.slate_model import SlateModel, answer_probability, forecast
from recsys.models.slates.user_state import GammaLinearUser, MarkovUser, RecurrentUser, UserState
from recsys.policies.bandits.greedy import Greedy, UniformPolicy
from recsys.policies.bandits.thompson import InSlateThompson
from recsys.policies.slate_posterior import SlatePosterior
from recsys.rollouts.episode import EpisodeConfig
from recsys.simulate.choice_models import MultinomialLogit
from recsys.simulate.planted_groups import PlantedGroups
from recsys.systems.slate_elbo import SlateElboSystem
from tests.slate_logs import PlantedLog, planted_log

ITEMS, WIDTH, SLOTS, USERS, SHARPNESS = 150, 4, 4, 400, 6.0


@dataclass(frozen=True)
class World:
    """A planted world, what was answered in it, and its part that is held out: 30 % of the users."""

    world: PlantedGroups
    planted: PlantedLog
    split: SlateSplit

    @property
    def exposure(self) -> Exposure:
        return Exposure.from_log(self.planted.log, self.split.train)

    @property
    def held_out(self) -> UserSlates:
        (batch,) = SlateLoader(self.planted.log, self.split.test, USERS, shuffle=False)
        return batch

    @property
    def truth(self) -> torch.Tensor:
        return self.planted.truth[self.split.test].view(self.held_out.click.shape)


@cache
def world(seed: int) -> World:
    """Some items are shown a hundred times as often as others."""
    choice = MultinomialLogit(no_click=-2.0)
    made = PlantedGroups(ITEMS, 6, WIDTH, sharpness=SHARPNESS, steps=10, choice=choice, seed=seed)
    planted = planted_log(made, USERS, SLOTS, popular=1.0, seed=seed)
    return World(made, planted, split_slates_by_steps(planted.log, 0, 0.0, 0.3))


def flat(_: World) -> ItemPosterior:
    return FlatItems(ITEMS, WIDTH, prior=1.2)


def grouped(given: World) -> ItemPosterior:
    return GroupedItems(given.world.group, WIDTH, centre=1.2, scale=0.6)


@cache
def trained(seed: int, items: Callable[[World], ItemPosterior], user: Callable[[], UserState]) -> SlateModel:
    """Most of a second."""
    given = world(seed)
    torch.manual_seed(0)
    loader = SlateLoader(given.planted.log, given.split.train, users=100)
    model = SlateModel(items(given), user(), SLOTS, initial_state=InitialState(prior=3.0))
    system = SlateElboSystem(model, given.exposure, len(loader), partial(torch.optim.Adam, lr=0.05))
    system.log = lambda *_, **__: None  # type: ignore[method-assign]
    optimizer = system.configure_optimizers()
    for epoch in range(16):
        for index, batch in enumerate(loader):
            loss = system.training_step(batch, epoch * len(loader) + index)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.requires_grad_(False)


def held_out(model: SlateModel, batch: UserSlates) -> torch.Tensor:
    probability = forecast(model, batch, 64, torch.Generator().manual_seed(0)).mean(0)
    return answer_probability(probability, batch.click).log()


@cache
def popularity(seed: int) -> float:
    """By the click rate of each item, with the no-click score that explains the held-out slates best."""
    given = world(seed)
    (train,) = SlateLoader(given.planted.log, given.split.train, USERS)
    batch, clicked = given.held_out, train.click >= 0
    items = train.slates.gather(2, train.click.clamp(min=0).unsqueeze(2)).squeeze(2)[clicked]
    rate = (torch.bincount(items, minlength=ITEMS) + 1) / (given.exposure.occurrences + SLOTS + 1)
    scores, shown = rate.log()[batch.slates], batch.slates >= 0
    biases = torch.linspace(-4, 2, 40)
    return max(
        click_log_prob(scores, shown, bias.expand(batch.click.shape), batch.click).mean().item() for bias in biases
    )


@pytest.mark.parametrize("items", [flat, grouped])
@pytest.mark.parametrize("user", [GammaLinearUser, MarkovUser, lambda: RecurrentUser(WIDTH)], ids=["g", "m", "r"])
def test_held_out_clicks_are_explained_better_than_by_popularity_and_no_better_than_by_the_truth(
    items: Callable[[World], ItemPosterior], user: Callable[[], UserState]
) -> None:
    given = world(seed=0)
    found = held_out(trained(0, items, user), given.held_out).mean().item()
    by_chance = -torch.tensor(SLOTS + 1.0).log().item()
    assert by_chance + 0.3 < popularity(0)
    assert popularity(0) + 0.08 < found < given.truth.mean().item() - 0.05


def test_a_group_tells_of_items_that_were_hardly_seen() -> None:
    gains = []
    for seed in range(3):
        given = world(seed)
        rare = (given.exposure.occurrences[given.held_out.slates] < 20).any(-1)
        assert 0.15 < rare.float().mean() < 0.3
        with_groups, without = (
            held_out(trained(seed, items, GammaLinearUser), given.held_out)[rare] for items in (grouped, flat)
        )
        gains.append((with_groups - without).mean().item())
    assert min(gains) > 0 and sum(gains) / 3 > 0.012


def test_what_was_learnt_earns_clicks_once_users_have_clicked() -> None:
    given, game = world(seed=0), EpisodeConfig(users=600, steps=10, slots=SLOTS)
    posterior = SlatePosterior(trained(0, grouped, GammaLinearUser), torch.Generator().manual_seed(0), pool=32)
    uniform, greedy, thompson = (
        record_episode(given.world, policy, game, seed=1).reward[5:].sum(-1).mean().item()
        for policy in (UniformPolicy(ITEMS), Greedy(posterior), InSlateThompson(posterior))
    )
    assert greedy > uniform + 0.05 and thompson > uniform + 0.02
