from __future__ import annotations

import pytest
import torch

from recsys.policies.bandits.greedy import Greedy, UniformPolicy
from recsys.policies.bandits.posteriors import LinearPosterior
from recsys.rollouts.collection import collect, trajectory_of
from recsys.rollouts.episode import EpisodeConfig, EpisodeGenerators, play
from recsys.simulate.features import GroupFeatures
from recsys.simulate.interest_evolution import InterestContext, InterestEvolution
from recsys.simulate.planted_groups import PlantedGroups
from recsys.types.context import Context
from recsys.types.slates import SamplingMethod

EPISODE = EpisodeConfig(users=5, steps=6, slots=3)


def seeded(seed: int = 0) -> EpisodeGenerators:
    return EpisodeGenerators.seeded(seed)


def test_a_trajectory_is_what_the_loop_yields() -> None:
    simulator = InterestEvolution(budget=9.0)
    trajectory = collect(simulator, UniformPolicy(10), EPISODE, seeded())
    transitions = [step.transition for step in play(simulator, UniformPolicy(10), EPISODE, seeded())]
    assert (trajectory.steps, trajectory.users, len(trajectory)) == (6, 5, 5)
    assert trajectory.value is None
    for step, one in enumerate(transitions):
        rows = torch.arange(5) + 5 * step
        example = trajectory.example.select(rows)
        assert isinstance(example.context, InterestContext) and isinstance(one.context, InterestContext)
        assert torch.equal(example.context.interests, one.context.interests)
        assert torch.equal(example.slates.items, one.slates.items)
        assert torch.equal(example.feedback["watch_time"], one.feedback["watch_time"])
        assert torch.equal(trajectory.active[step], one.active) and torch.equal(trajectory.done[step], one.done)
        assert torch.equal(trajectory.reward[step], one.feedback.reward.sum((1, 2)))
    assert trajectory.example.slates.sampling_method is SamplingMethod.SAMPLE
    assert trajectory.done[-1].any() and not trajectory.done[0].any()


def test_a_critic_is_asked_before_every_step_and_after_the_last() -> None:
    simulator, asked = PlantedGroups(num_items=20, groups=4, width=3, steps=9), []

    def clicks_so_far(context: Context) -> torch.Tensor:
        asked.append(context)
        return context.history.lengths.float()

    steps = list(play(simulator, UniformPolicy(20), EPISODE, seeded()))
    trajectory = trajectory_of(steps, clicks_so_far)
    assert trajectory.value is not None and trajectory.value.shape == (7, 5)
    clicks = torch.stack([one.transition.feedback["click"].sum((1, 2)) for one in steps])
    torch.testing.assert_close(trajectory.value[1:], clicks.cumsum(0))
    assert asked[-1] is steps[-1].transition.next_context


def test_users_go_on_where_they_stood() -> None:
    simulator, generators = InterestEvolution(), seeded(3)
    begun = list(play(simulator, UniformPolicy(10), EPISODE, generators))
    rest = collect(simulator, UniformPolicy(10), EPISODE, generators, state=begun[-1].after)
    first = rest.example.context.select(torch.arange(5))
    after = begun[-1].transition.next_context
    assert isinstance(first, InterestContext) and isinstance(after, InterestContext)
    assert torch.equal(first.interests, after.interests)


def test_a_policy_that_learns_learns() -> None:
    posterior = LinearPosterior(GroupFeatures(20, 4), 20)
    before = posterior.precision.clone()
    trajectory = collect(PlantedGroups(20, 4, 3), Greedy(posterior), EPISODE, seeded())
    shown = (trajectory.example.slates.items >= 0).sum().item()
    learnt = (posterior.precision - before)[:4, :4].diagonal().sum().item()
    assert learnt * 0.25 == pytest.approx(shown)
