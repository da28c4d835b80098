from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from recsys.errors import ConfigurationError
from recsys.models.slates.item_posterior import FlatItems, GroupedItems
from recsys.models.slates.slate_model import SlateModel
from recsys.models.slates.user_state import GammaLinearUser
from recsys.nn.affinity import inner_product
from recsys.objectives.elbo import slate_negative_elbo
from recsys.policies.bandits.greedy import Greedy, UniformPolicy
from recsys.policies.bandits.thompson import InSlateThompson, SlateThompson
from recsys.policies.scorer import OnlineLearner, Posterior
from recsys.policies.slate_learner import SlateLearner
from recsys.simulate.choice_models import MultinomialLogit
from recsys.simulate.planted_groups import PlantedGroups
from recsys.types.context import Context
from recsys.types.feedback import Feedback
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates
from recsys.types.transition import Transition

ITEMS, SLOTS, USERS = 12, 3, 20
GROUP = torch.arange(ITEMS) % 4
SHOWN = ITEMS - 1
"""The last item is never shown."""
ADAM = partial(torch.optim.Adam, lr=0.05)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def learner(grouped: bool = True, affinity: Any = inner_product, optimizer: Any = ADAM, **options: Any) -> SlateLearner:
    torch.manual_seed(0)
    shared = {"width": 3, "deviation": 1.0}
    items = GroupedItems(GROUP, **shared) if grouped else FlatItems(ITEMS, **shared)
    model = SlateModel(items, GammaLinearUser(), SLOTS, affinity, deviation=1.0)
    return SlateLearner(model, optimizer, **{"steps": 4, "users": 8, "initial_states": 2, "pool": 16, **options})


def same_values(first: SlateLearner, second: SlateLearner) -> bool:
    """Weights and pool, bit for bit."""
    pairs = zip(first.state_dict().items(), second.state_dict().items(), strict=True)
    return all(torch.equal(value, twin) for (_, value), (_, twin) in pairs if isinstance(value, torch.Tensor))


def requests() -> Context:
    return Context(torch.arange(USERS), Jagged.empty(USERS), Jagged.empty(USERS))


def answers(seed: int, good: int | None = None) -> tuple[Slates, Feedback]:
    """Random slates; an item of the good group is clicked where the slate has one, else nothing is."""
    order = torch.rand(USERS, SHOWN, generator=seeded(seed)).argsort(1)
    items = order[:, :SLOTS].clone()
    items[::7, -1] = -1
    chance = torch.rand(items.shape, generator=seeded(seed + 1000)) < 0.3
    liked = (chance if good is None else GROUP[items] == good) & (items >= 0)
    reward = (liked & (liked.cumsum(1) == 1)).float()
    return Slates(items.unsqueeze(1), torch.zeros(USERS, 1, SLOTS)), Feedback.of_reward(reward.unsqueeze(1))


def taught(made: SlateLearner, rounds: int, good: int | None = None, seed: int = 0) -> SlateLearner:
    for one in range(rounds):
        made.update(Transition.one_round(requests(), *answers(one, good)), seeded(seed + one))
    return made


def test_it_is_a_posterior_that_learns_even_where_gradients_are_off() -> None:
    made = learner()
    assert isinstance(made, Posterior) and isinstance(made, OnlineLearner)
    before, pool = made.model.no_click.mean.clone(), made.draws
    with torch.no_grad():
        taught(made, 1)
    assert not torch.equal(before, made.model.no_click.mean)
    assert not torch.equal(pool, made.draws)


@pytest.mark.parametrize("grouped", [True, False])
def test_before_the_first_answer_every_item_is_at_its_prior(grouped: bool) -> None:
    made = learner(grouped)
    assert made.model.items.kl(torch.arange(ITEMS)).abs().max() < 1e-5
    assert made.model.shared_kl() < 0.1


def test_it_finds_out_which_group_is_good() -> None:
    """Users begin near 0 and are moved by clicks: whoever clicked has more of the good group before others."""
    made = taught(learner(steps=10), 12, good=2)
    histories = Jagged.from_rows([[2, 6, 10], [2], [6, 6]])
    scores = made.scores(Context(torch.arange(3), histories, Jagged.empty(3)))
    assert (scores[:, GROUP == 2].min(1).values > scores[:, GROUP != 2].max(1).values).all()


@pytest.mark.parametrize("grouped", [True, False])
def test_an_item_that_was_never_shown_stays_as_uncertain_as_it_was(grouped: bool) -> None:
    made = taught(learner(grouped), 6)
    table = made.model.items.own if grouped else made.model.items.vectors
    assert table.mean[SHOWN].abs().max() == 0
    assert torch.equal(table.log_deviation[SHOWN], torch.zeros(3))
    assert (table.log_deviation[:SHOWN] != 0).any(1).all()


def test_what_was_shown_often_is_less_uncertain() -> None:
    made = taught(learner(grouped=False, steps=20), 10)
    deviation = made.model.items.vectors.log_deviation.exp().mean(1)
    assert deviation[:SHOWN].max() < 0.9 * deviation[SHOWN]


@pytest.mark.parametrize("users", [1, 6, 20])
@pytest.mark.parametrize("rounds", [1, 9])
def test_an_epoch_of_batches_is_the_bound_of_all_answers_so_far(users: int, rounds: int) -> None:
    made = taught(learner(), rounds).double()
    exposure, shown = made.memory.exposure, torch.arange(SHOWN)
    (everyone,) = made.memory.epoch(USERS, seeded())
    assert exposure.impressions == rounds * USERS == int(everyone.loss_mask.sum())
    means = made.model.means(everyone.slates)
    explained = made.model.log_weight(means, everyone.slates, everyone.click, everyone.loss_mask).sum()
    known = exposure.occurrences[shown] > 0
    expected = -explained + made.model.items.kl(shown[known]).sum() + made.model.shared_kl()
    parts = [
        slate_negative_elbo(made.model, made.model.means(batch.slates), batch, exposure)
        for batch in made.memory.epoch(users, seeded(3))
    ]
    assert len(parts) == made.memory.num_batches(users)
    torch.testing.assert_close(torch.stack(parts).sum(), expected)


class Counting(torch.optim.SGD):
    """Counts its steps and keeps what one step moved."""

    taken = 0

    def step(self, closure: Any = None) -> None:
        self.taken += 1
        super().step()


def test_an_update_takes_as_many_steps_as_told_over_users_again_and_again() -> None:
    made = learner(optimizer=partial(Counting, lr=0.01), steps=7, users=8)
    sizes = []
    step = made._step
    made._step = lambda batch, generator: (sizes.append(len(batch)), step(batch, generator))[1]
    taught(made, 1)
    assert made.optimizer.taken == 7
    assert sizes == [8, 8, 4, 8, 8, 4, 8]


def test_a_step_is_on_nats_a_slate() -> None:
    """With one batch the gradient is that of the whole bound by the number of slates."""
    made = learner(optimizer=partial(torch.optim.SGD, lr=0.1), steps=1, users=USERS, initial_states=1)
    made.memory.add(torch.arange(USERS), answers(5)[0].items[:, 0], torch.zeros(USERS, dtype=torch.int64))
    (batch,) = made.memory.epoch(USERS, seeded())
    before = {name: value.detach().clone() for name, value in made.model.named_parameters()}
    values = made.model.draw(batch.slates, seeded(4))
    bound = slate_negative_elbo(made.model, values, batch, made.memory.exposure) / USERS
    gradients = torch.autograd.grad(bound, list(made.model.parameters()))
    made._step(batch, seeded(4))
    for (name, value), gradient in zip(made.model.named_parameters(), gradients, strict=True):
        torch.testing.assert_close(value, before[name] - 0.1 * gradient, rtol=1e-4, atol=1e-6)


def test_the_optimizer_remembers_from_update_to_update() -> None:
    made = learner()
    taught(made, 3)
    state = made.optimizer.state[made.model.no_click.mean]
    assert int(state["step"]) == 3 * 4


def test_equal_seeds_give_equal_numbers_and_others_do_not() -> None:
    first, again, other = (taught(learner(), 3, seed=seed) for seed in (0, 0, 50))
    assert same_values(first, again)
    assert not torch.equal(first.draws, other.draws)
    assert torch.equal(first.scores(requests()), again.scores(requests()))


def test_whoever_loads_the_state_goes_on_as_the_other(tmp_path: Path) -> None:
    """Weights, pool, answers so far and the optimizer, through a file without code in it."""
    first, other = taught(learner(), 2), learner()
    torch.save(Greedy(first).state_dict(), tmp_path / "state.pt")
    Greedy(other).load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert same_values(first, other)
    for made in (first, other):
        made.update(Transition.one_round(requests(), *answers(2)), seeded(2))
    assert same_values(first, other)
    assert not same_values(first, taught(learner(), 2))
    assert other.memory.exposure.impressions == 3 * USERS


@pytest.mark.parametrize("act", [Greedy, SlateThompson, InSlateThompson])
def test_whoever_acts_on_it_teaches_it(act: Any) -> None:
    policy = act(learner())
    made = getattr(policy, "scorer", None) or policy.posterior
    policy.update(Transition.one_round(requests(), *answers(0)), seeded())
    assert made.memory.exposure.impressions == USERS


def test_sessions_that_are_over_teach_nothing() -> None:
    made = learner()
    before = copy.deepcopy(made)
    nothing = torch.full((USERS, 1, SLOTS), -1)
    made.update(
        Transition.one_round(
            requests(), Slates(nothing, torch.zeros(nothing.shape)), Feedback.of_reward(torch.zeros(nothing.shape))
        ),
        seeded(),
    )
    assert same_values(made, before)


def test_what_it_cannot_explain_is_refused() -> None:
    slates, _ = answers(0)
    with pytest.raises(ConfigurationError, match="one click at most"):
        learner().update(
            Transition.one_round(requests(), slates, Feedback.of_reward(torch.ones(USERS, 1, SLOTS))), seeded()
        )
    long = torch.arange(4).expand(USERS, 1, 4)
    with pytest.raises(ConfigurationError, match="slates of 4 items, expected at most 3"):
        learner().update(
            Transition.one_round(
                requests(), Slates(long, torch.zeros(long.shape)), Feedback.of_reward(torch.zeros(long.shape))
            ),
            seeded(),
        )


def test_a_cold_posterior_is_surer() -> None:
    deviations = []
    for temperature in (1.0, 0.05):
        made = taught(learner(steps=40, temperature=temperature), 5)
        deviations.append(made.model.no_click.log_deviation[SLOTS - 1].exp().item())
    assert deviations[1] < 0.75 * deviations[0]


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_temperature_is_above_0(temperature: float) -> None:
    with pytest.raises(ConfigurationError, match="expected above 0"):
        learner(temperature=temperature)


@pytest.mark.parametrize("option", ["steps", "users", "initial_states", "pool"])
def test_options_below_one_are_refused(option: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{option}=0: expected at least 1"):
        learner(**{option: 0})


def test_in_a_planted_world_it_comes_to_earn_more_than_chance() -> None:
    world = PlantedGroups(40, 5, 3, sharpness=6.0, choice=MultinomialLogit(-2.0), steps=30, seed=3)
    torch.manual_seed(0)
    items = GroupedItems(world.group, 3, centre=1.0, deviation=1.0)
    model = SlateModel(items, GammaLinearUser(), 4, deviation=1.0)
    made = SlateLearner(model, ADAM, steps=5, users=30, initial_states=4, pool=32)
    random, own = earned(world, UniformPolicy(40)), earned(world, Greedy(made))
    assert own > random + 0.1


def earned(world: PlantedGroups, policy: Any) -> float:
    """Click rate of the last fifteen of thirty slates."""
    state, clicks = world.reset(30, seeded(1)), []
    own, luck = seeded(2), seeded(3)
    for _ in range(30):
        context = world.observe(state)
        slates = policy.sample(context, 1, 4, own)
        state, feedback, _ = world.step(state, slates, luck)
        policy.update(Transition.one_round(context, slates, feedback), own)
        clicks.append(feedback.reward.sum((1, 2)).mean().item())
    return sum(clicks[15:]) / 15
