from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recsys.errors import ConfigurationError, NonFiniteError
from recsys.objectives.actor_critic import ActorCriticSteps
from recsys.objectives.returns import as_they_are, generalised_advantages
from recsys.rollouts.collection import collect
from recsys.rollouts.episode import EpisodeConfig, EpisodeGenerators
from recsys.simulate.interest_evolution import InterestEvolution
from recsys.systems.actor_critic import ActorCritic
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
