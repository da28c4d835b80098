from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from recsys.errors import ConfigurationError, NonFiniteError
from recsys.objectives.actor_critic import ActorCriticSteps, advantage_actor_critic
from recsys.objectives.returns import as_they_are, generalised_advantages
from recsys.policies.feature_network import FeatureCritic
from recsys.policies.hierarchical.intent import IntentNetwork
from recsys.policies.hierarchical.scorer import ConditionedScorer
from recsys.policies.hierarchical.two_level import TwoLevelPolicy
from recsys.rewards.novelty import DistanceNovelty, IntentMatch
from recsys.rollouts.collection import collect
from recsys.rollouts.episode import EpisodeConfig, EpisodeGenerators
from recsys.simulate.features import NoveltyFeatures
from recsys.simulate.interest_evolution import InterestEvolution
from recsys.simulate.novelty_seeking import NoveltySeeking
from recsys.systems.actor_critic import ActorCritic, LatentLevel
from recsys.types.feedback import Feedback
from recsys.types.trajectory import Trajectory
from tests.rollouts.learners import actor_critic, data, trained

SIMULATOR = InterestEvolution(budget=9.0)


def played(system: ActorCritic) -> Trajectory:
    """Six users of whom some leave before the end."""
    trajectory = collect(
        SIMULATOR, system.policy, EpisodeConfig(6, 8, 2), EpisodeGenerators.seeded(0), critic=system.value
    )
    assert 0.2 < trajectory.active.float().mean() < 0.9
    return trajectory


def test_its_steps_are_those_of_sessions_that_were_not_over() -> None:
    system = actor_critic(scale_advantages=as_they_are, discount=0.9, trace=0.5)
    batch = played(system)
    steps, active = system.steps(batch), batch.active
    assert batch.value is not None
    advantage = generalised_advantages(batch.reward, batch.value, batch.done, batch.active, discount=0.9, trace=0.5)
    assert torch.equal(steps.advantage, advantage[active])
    assert torch.equal(steps.target, (advantage + batch.value[:-1])[active])
    torch.testing.assert_close(steps.value, batch.value[:-1][active])
    torch.testing.assert_close(steps.log_prob, steps.behaviour_log_prob)
    assert torch.equal(steps.behaviour_log_prob, batch.example.slates.slate_log_prob.view(8, 6)[active])
    assert steps.log_prob.requires_grad and steps.value.requires_grad and not steps.target.requires_grad


def test_what_is_shown_after_a_session_changes_nothing() -> None:
    system = actor_critic()
    batch = played(system)
    over = ~batch.active.flatten()
    slates = batch.example.slates
    log_prob = slates.log_prob.masked_fill(over.view(-1, 1, 1), -99.0)
    other = batch.replace(example=batch.example.replace(slates=slates.replace(log_prob=log_prob)))
    losses = [system.objective(system.steps(one)).value for one in (batch, other)]
    assert torch.equal(losses[0], losses[1])


def test_policy_and_critic_both_have_gradients() -> None:
    system = actor_critic()
    system.log_dict = lambda values, **options: None  # type: ignore[method-assign]
    system.training_step(played(system), 0).backward()
    for part in (system.policy, system.critic):
        gradients = [one.grad for one in part.parameters()]
        assert all(one is not None and one.isfinite().all() for one in gradients)
        assert any(one is not None and one.any() for one in gradients)


def test_it_learns_to_earn_more(tmp_path: Path) -> None:
    """From chance: minutes watched, by showing what a user likes."""
    module = data(users=48, steps=4, batch_size=None, passes=6, validation_users=200)
    seen = trained(actor_critic(lr=0.05), module, tmp_path, epochs=10)
    assert seen.validations[-1] > seen.validations[0] + 1.5, seen.validations


def test_rates_outside_0_and_1_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"discount=1\.1"):
        actor_critic(discount=1.1)
    with pytest.raises(ConfigurationError, match=r"trace=-0\.1"):
        actor_critic(trace=-0.1)


def test_the_class_says_what_it_leaves() -> None:
    assert (ActorCritic.monitor, ActorCritic.mode, ActorCritic.artifact) == ("validation/reward", "max", "policy")
    assert ActorCriticSteps.__dataclass_fields__.keys() >= {"log_prob", "advantage", "value"}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_rewards_and_values_of_a_session_are_finite(value: float) -> None:
    system = actor_critic()
    batch = played(system)
    assert batch.value is not None
    first = torch.zeros_like(batch.active)
    first[1, 2] = True
    assert batch.active[1, 2]
    earned = batch.example.feedback.reward.masked_fill(first.view(-1, 1, 1), value)
    spoilt = batch.replace(example=batch.example.replace(feedback=Feedback.of_reward(earned)))
    with pytest.raises(NonFiniteError, match=r"the reward is .* in step 1 of the session of user 2 of the batch"):
        system.steps(spoilt)
    values = batch.value.clone()
    values[1, 2] = value
    with pytest.raises(NonFiniteError, match=r"the critic's value is .* in step 1 of the session of user 2"):
        system.steps(batch.replace(value=values))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_feedback_after_a_session_is_not_read_whatever_it_is(value: float) -> None:
    system = actor_critic()
    batch = played(system)
    assert not batch.active.all()
    over = ~batch.active.view(-1, 1, 1)
    earned = batch.example.feedback.reward.masked_fill(over, value)
    other = batch.replace(example=batch.example.replace(feedback=Feedback.of_reward(earned)))
    losses = [system.objective(system.steps(one)).value for one in (batch, other)]
    assert torch.equal(losses[0], losses[1])
    assert torch.equal(batch.reward, other.reward)


WORLD = NoveltySeeking(12, 3, profile=2, sessions=3, session_steps=2, window=2, recent=3, initial=2)


def of_two_levels(**options: Any) -> ActorCritic:
    torch.manual_seed(0)
    policy = TwoLevelPolicy(
        IntentNetwork(WORLD.items, 2, 3, sessions=2, window=2, hidden=4), ConditionedScorer(WORLD.items, 2, 2, 4)
    )
    torch.nn.init.normal_(policy.scorer.query[2].weight)
    critic = FeatureCritic(NoveltyFeatures(WORLD), hidden=4)
    given = {"scale_advantages": as_they_are, "discount": 0.9, "latent": LatentLevel(0.5, 0.0), **options}
    return ActorCritic(policy, critic, partial(torch.optim.Adam, lr=0.01), advantage_actor_critic, **given)


def test_latent_actions_are_worth_their_session_and_the_next_ones_value() -> None:
    system = of_two_levels()
    batch = collect(WORLD, system.policy, EpisodeConfig(5, 6, 2), EpisodeGenerators.seeded(0), critic=system.value)
    high, reward, value = system.latent_steps(batch), batch.reward, batch.value
    assert value is not None and len(high.log_prob) == 3 * 5
    for number, start in enumerate((0, 2, 4)):
        rows = slice(5 * number, 5 * number + 5)
        follows = 0.0 if start == 4 else 0.5 * value[start + 2]
        worth = reward[start] + 0.9 * (reward[start + 1] + follows)
        torch.testing.assert_close(high.advantage[rows], worth - value[start])
        torch.testing.assert_close(high.log_prob[rows], batch.latents["log_prob"][start])
        torch.testing.assert_close(high.behaviour_log_prob[rows], batch.latents["log_prob"][start])
    assert torch.equal(high.value, high.target)


def test_slates_are_learned_given_the_latent_actions() -> None:
    system = of_two_levels()
    batch = collect(WORLD, system.policy, EpisodeConfig(5, 6, 2), EpisodeGenerators.seeded(0), critic=system.value)
    low = system.steps(batch)
    torch.testing.assert_close(low.log_prob, low.behaviour_log_prob)
    marginal = system.policy.log_prob(batch.example.context, batch.example.slates).sum((1, 2))
    assert (marginal - low.log_prob).abs().max() > 1e-3


def test_a_latent_action_of_before_is_left_out() -> None:
    system = of_two_levels()
    whole = collect(WORLD, system.policy, EpisodeConfig(5, 3, 2), EpisodeGenerators.seeded(0), critic=system.value)
    later = Trajectory(
        whole.example.select(torch.arange(5, 15)),
        whole.active[1:],
        whole.done[1:],
        whole.value[1:],  # type: ignore[index]
        {name: one[1:] for name, one in whole.latents.items()},
    )
    assert len(system.latent_steps(later).log_prob) == 5


@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_both_levels_have_gradients_by_their_weight(weight: float) -> None:
    system = of_two_levels(latent=LatentLevel(weight=weight))
    logged: dict[str, Any] = {}
    system.log_dict = lambda values, **options: logged.update(values)  # type: ignore[method-assign]
    batch = collect(WORLD, system.policy, EpisodeConfig(40, 6, 2), EpisodeGenerators.seeded(0), critic=system.value)
    system.training_step(batch, 0).backward()
    low = [one.grad for one in system.policy.scorer.parameters()]
    assert all(one is not None and one.any() for one in low)
    high = [one.grad for one in system.policy.intent.parameters()]
    assert any(one is not None and bool(one.any()) for one in high) == (weight > 0)
    assert {"train/latent/entropy", "train/entropy", "train/loss"} <= set(logged)


def test_the_gradient_of_the_high_level_is_that_of_the_expected_reward() -> None:
    """One session of one slate of one item: every intent and every item enumerated, no baseline needed."""
    world = NoveltySeeking(4, 3, profile=2, sessions=1, session_steps=1, window=2, recent=3, initial=2, seed=1)
    torch.manual_seed(0)
    policy = TwoLevelPolicy(
        IntentNetwork(world.items, 2, 3, sessions=2, window=2, hidden=4), ConditionedScorer(world.items, 2, 2, 4)
    ).double()
    policy.scorer.novelty.data = torch.tensor([0.0, 4.0], dtype=torch.float64)
    context = world.observe(world.reset(1, torch.Generator().manual_seed(0)))
    context = context.replace(profile=context.profile.double())
    reward = torch.tensor([0.1, 0.9, 0.4, 0.0], dtype=torch.float64)
    parts = list(policy.intent.parameters())
    high = policy.intent(context)[0]
    low = torch.stack([policy.given(context, torch.tensor([one]))[0] for one in range(3)]).exp().detach()
    exact = torch.autograd.grad((high.exp() * (low @ reward)).sum(), parts, allow_unused=True)
    sampled = policy.latent_log_prob(context.select(torch.zeros(3, dtype=torch.int64)), {"bin": torch.arange(3)})
    estimate = torch.autograd.grad((high.exp().detach() * (low @ reward) * sampled).sum(), parts, allow_unused=True)
    for one, other in zip(exact, estimate, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other)


def test_two_levels_and_their_options_belong_together() -> None:
    with pytest.raises(ConfigurationError, match=r"TwoLevelPolicy has latent actions: set system\.latent"):
        of_two_levels(latent=None)
    with pytest.raises(ConfigurationError, match=r"has no latent actions: leave system\.latent out"):
        actor_critic(latent=LatentLevel())


@pytest.mark.parametrize("wrong", [{"discount": 1.1}, {"trace": -0.1}, {"weight": -1.0}])
def test_numbers_of_the_latent_level_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        LatentLevel(**wrong)


def of_two_levels_played(system: ActorCritic, users: int = 5) -> Trajectory:
    return collect(WORLD, system.policy, EpisodeConfig(users, 6, 3), EpisodeGenerators.seeded(0), critic=system.value)


def test_choices_need_a_policy_that_knows_of_them() -> None:
    with pytest.raises(ConfigurationError, match="choice_weight: SoftmaxPolicy does not say what users choose"):
        actor_critic(choice_weight=1.0)
    with pytest.raises(ConfigurationError, match="stride"):
        actor_critic(stride=0)


def test_slates_are_learned_from_every_so_many_th_step() -> None:
    whole, third = (actor_critic(scale_advantages=as_they_are, stride=one) for one in (1, 3))
    batch = played(whole)
    every = torch.arange(8 * 6).view(8, 6)[batch.active] // 6
    steps = whole.steps(batch)
    for first in range(3):
        found = third.steps(batch, first)
        taken = every % 3 == first
        for name in ("log_prob", "advantage", "target", "value"):
            torch.testing.assert_close(getattr(found, name), getattr(steps, name)[taken])


def test_following_the_intent_pays_in_its_step_and_for_slates_alone() -> None:
    match = IntentMatch(DistanceNovelty(WORLD.items, window=2), weight=0.5)
    plain, bound = of_two_levels(), of_two_levels(latent=LatentLevel(0.5, 0.0, intrinsic=match))
    batch = of_two_levels_played(plain)
    before, after = plain.steps(batch), bound.steps(batch)
    novelty = batch.example.feedback["novelty"][:, 0].mean(1)
    paid = -0.5 * (novelty - batch.latents["intent"].flatten()).abs()
    torch.testing.assert_close(after.advantage - before.advantage, paid, atol=1e-5, rtol=0)
    assert torch.equal(after.target, before.target)
    assert torch.equal(bound.latent_steps(batch).advantage, plain.latent_steps(batch).advantage)


def test_nothing_that_counts_is_a_loss_of_nothing() -> None:
    """Of three steps none is the sixth, and in the second step of a session none begins."""
    system = of_two_levels(stride=6)
    system.log_dict = lambda values, **options: None  # type: ignore[method-assign]
    whole = of_two_levels_played(system)
    rows = torch.arange(5, 10)
    latents = {name: one[1:2] for name, one in whole.latents.items()}
    values = whole.value[1:3]  # type: ignore[index]
    later = Trajectory(whole.example.select(rows), whole.active[1:2], whole.done[1:2], values, latents)
    assert not later.latents["begins"].any()
    assert system._loss(system.steps(later, 5)).value == 0
    assert system._loss(system.latent_steps(later)).value == 0
    loss = system.training_step(later, 0)
    loss.backward()
    assert loss.isfinite()
    assert all(one.grad is None or one.grad.isfinite().all() for one in system.parameters())


def test_what_pays_for_following_the_intent_moves_with_the_system() -> None:
    match = IntentMatch(DistanceNovelty(WORLD.items, window=2))
    system = of_two_levels(latent=LatentLevel(intrinsic=match))
    assert match in list(system.modules())
    assert not any("intrinsic" in name for name in system.state_dict())
