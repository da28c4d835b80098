from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from recsys.errors import ConfigurationError, NonFiniteError
from recsys.objectives.reinforce import top_k_reinforce
from recsys.objectives.returns import as_they_are, discounted_returns, standardised
from recsys.policies.behaviour import Behaviour, BehaviourHead, SlatePropensities
from recsys.policies.feature_network import FeatureCritic, FeaturePolicy
from recsys.rollouts.collection import collect
from recsys.rollouts.episode import EpisodeConfig, EpisodeGenerators
from recsys.simulate.features import TopicFeatures
from recsys.simulate.interest_evolution import InterestEvolution
from recsys.systems.reinforce import Reinforce
from recsys.types.feedback import Feedback
from recsys.types.trajectory import Trajectory
from tests.rollouts.learners import Moody, data, trained

SIMULATOR = InterestEvolution(budget=9.0)


def reinforce(lr: float = 0.01, critic: bool = True, **options: Any) -> Reinforce:
    torch.manual_seed(0)
    features = TopicFeatures(20)
    policy = FeaturePolicy(features, hidden=8)
    baseline = FeatureCritic(features, hidden=8) if critic else None
    return Reinforce(policy, partial(torch.optim.Adam, lr=lr), baseline, **options)


def played(system: Reinforce, users: int = 6) -> Trajectory:
    """Users of whom some leave before the end."""
    trajectory = collect(
        SIMULATOR, system.policy, EpisodeConfig(users, 8, 2), EpisodeGenerators.seeded(0), critic=system.value
    )
    assert 0.2 < trajectory.active.float().mean() < 0.9
    return trajectory


def rewarded(batch: Trajectory, reward: torch.Tensor) -> Trajectory:
    return batch.replace(example=batch.example.replace(feedback=Feedback.of_reward(reward)))


def gradients(system: Reinforce, batch: Trajectory) -> list[torch.Tensor]:
    system.zero_grad()
    loss, beside = system.losses(batch)
    torch.stack([loss.value, *beside.values()]).sum().backward()
    return [one.grad.clone() for one in system.parameters() if one.grad is not None]


@pytest.mark.parametrize("critic", [True, False])
def test_the_objective_is_that_of_every_consumed_item(critic: bool) -> None:
    system = reinforce(critic=critic, discount=0.9, scale_advantages=as_they_are)
    batch = played(system)
    assert batch.value is not None
    earned = discounted_returns(batch.reward, batch.done, batch.value[-1], discount=0.9)
    slates, terms = batch.example.slates, []
    catalogue = system.policy.catalogue_log_prob(batch.example.context)
    for step in range(8):
        for user in range(6):
            row = 6 * step + user
            for slot in range(2):
                if not (batch.active[step, user] and batch.example.feedback.reward[row, 0, slot] > 0):
                    continue
                log_prob = catalogue[row, slates.items[row, 0, slot]]
                weight = 2 * (1 - log_prob.exp().detach())  # on-policy: the other weight is 1
                terms.append(weight * (earned - batch.value[:-1])[step, user] * log_prob)
    assert 3 < len(terms) < int(batch.active.sum())
    loss, beside = system.losses(batch)
    torch.testing.assert_close(loss.value, -torch.stack(terms).mean())
    torch.testing.assert_close(loss.diagnostics["off_policy_weight"], torch.tensor(1.0))
    assert set(beside) == ({"value"} if critic else set())
    if critic:
        expected = 0.25 * (earned - batch.value[:-1])[batch.active].square().mean()
        torch.testing.assert_close(beside["value"], expected)


def test_slates_of_another_policy_are_weighted_by_what_they_say() -> None:
    system, other = reinforce(), reinforce()
    for weight in other.policy.parameters():
        weight.data *= 2
    batch = played(other)
    loss, _ = system.losses(batch)
    items, clicked = batch.example.slates.items[:, 0].clamp(min=0), batch.example.feedback.reward[:, 0] > 0
    found, shown = (one.policy.catalogue_log_prob(batch.example.context).gather(1, items) for one in (system, other))
    ratio = (found - shown).exp()[clicked & batch.active.flatten().unsqueeze(1)]
    expected = ratio.clamp(max=math.e**3).mean().detach()
    torch.testing.assert_close(loss.diagnostics["off_policy_weight"], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("value", [-99.0, float("nan")])
def test_what_is_shown_after_a_session_changes_nothing(value: float) -> None:
    system = reinforce(behaviour=BehaviourHead)
    batch = played(system)
    over = ~batch.active.view(-1, 1, 1)
    slates = batch.example.slates
    other = batch.replace(
        example=batch.example.replace(
            slates=slates.replace(log_prob=slates.log_prob.masked_fill(over, value), items=slates.items.where(~over, 3))
        )
    )
    other = rewarded(other, batch.example.feedback.reward.masked_fill(over, abs(value)))
    for one, two in zip(gradients(system, batch), gradients(system, other), strict=True):
        assert torch.equal(one, two)


def test_slates_without_a_consumed_item_and_empty_slots_move_the_policy_nowhere() -> None:
    system = reinforce()
    batch = played(system)
    nothing = rewarded(batch, torch.zeros_like(batch.example.feedback.reward))
    loss, _ = system.losses(nothing)
    assert loss.value == 0
    assert all(not one.any() for one in torch.autograd.grad(loss.value, list(system.policy.parameters())))
    slates = batch.example.slates
    empty = batch.replace(example=batch.example.replace(slates=slates.replace(items=slates.items.fill_(-1))))
    assert system.losses(empty)[0].value == 0


def test_a_learned_behaviour_moves_its_own_parameters_alone() -> None:
    system = reinforce(behaviour=BehaviourHead, critic=False)
    loss, beside = system.losses(played(system))
    of_policy = torch.autograd.grad(beside["behaviour"], list(system.policy.parameters()), allow_unused=True)
    assert all(one is None for one in of_policy)
    own = list(system.behaviour.parameters())
    assert any(one.any() for one in torch.autograd.grad(beside["behaviour"], own, retain_graph=True))
    assert all(one is None for one in torch.autograd.grad(loss.value, own, allow_unused=True))


def test_an_interrupted_training_goes_on_as_the_other_would_have(tmp_path: Path) -> None:
    def system() -> Reinforce:
        return reinforce(behaviour=BehaviourHead)

    whole, killed, rest = system(), system(), system()
    trained(whole, data(), tmp_path / "whole")
    trained(killed, data(), tmp_path, after=5)
    trained(rest, data(), tmp_path, resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, rest.state_dict()[name]), name


def test_advantages_are_scaled_over_all_steps_of_sessions() -> None:
    """Those without a consumed item, too, and no others."""
    plain, scaled = reinforce(scale_advantages=as_they_are), reinforce()
    batch, seen = played(plain), []
    for system in (plain, scaled):
        system.objective = lambda items: seen.append(items.advantage) or top_k_reinforce(items)  # type: ignore
        system.losses(batch)
    assert batch.value is not None
    earned = discounted_returns(batch.reward, batch.done, batch.value[-1], discount=0.99)
    expected = standardised(earned - batch.value[:-1], batch.active)
    consumed = (batch.example.feedback.reward[:, 0] > 0).any(1).view(8, 6) & batch.active
    torch.testing.assert_close(seen[1], expected[consumed])
    torch.testing.assert_close(seen[0], (earned - batch.value[:-1])[consumed])


@pytest.mark.parametrize(("behaviour", "passes"), [(SlatePropensities, 1), (BehaviourHead, 4)])
def test_it_learns_to_earn_more(behaviour: type[Behaviour], passes: int, tmp_path: Path) -> None:
    module = data(users=48, steps=4, batch_size=None, passes=passes, validation_users=200)
    seen = trained(reinforce(lr=0.05, behaviour=behaviour), module, tmp_path, epochs=12)
    assert seen.validations[-1] > seen.validations[0] + 1.5, seen.validations


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_rewards_of_a_session_are_finite(value: float) -> None:
    system = reinforce()
    batch = played(system)
    spoilt = batch.example.feedback.reward.clone()
    assert batch.active[1, 2]
    spoilt[6 + 2] = value
    with pytest.raises(NonFiniteError, match=r"the reward is .* in step 1 of the session of user 2"):
        system.losses(rewarded(batch, spoilt))


def test_what_the_baseline_expects_after_the_last_step_is_finite() -> None:
    system = reinforce()
    batch = collect(SIMULATOR, system.policy, EpisodeConfig(6, 1, 2), EpisodeGenerators.seeded(0), critic=system.value)
    assert batch.value is not None and not batch.done.all()
    with pytest.raises(NonFiniteError, match="the baseline after the last step is nan"):
        system.losses(batch.replace(value=torch.full_like(batch.value, float("nan"))))


@pytest.mark.parametrize("wrong", [{"discount": 1.1}, {"discount": -0.1}, {"value_weight": -1.0}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        reinforce(**wrong)


def test_latent_actions_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="Moody has latent actions"):
        Reinforce(Moody(FeaturePolicy(TopicFeatures(20)).scorer), partial(torch.optim.Adam, lr=0.1))


def test_the_class_says_what_it_leaves() -> None:
    assert (Reinforce.monitor, Reinforce.mode, Reinforce.artifact) == ("validation/reward", "max", "policy")
