from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from recsys.errors import ConfigurationError
from recsys.policies.bandits.greedy import UniformPolicy
from recsys.policies.baselines.oracle import Oracle, OracleContext
from recsys.rollouts.episode import EpisodeConfig, EpisodeGenerators, Step, play, policy_seed
from recsys.simulate.interest_evolution import InterestContext, InterestEvolution
from recsys.simulate.planted_groups import PlantedGroups
from recsys.types.context import Context
from recsys.types.slates import Slates
from recsys.types.transition import Transition
from tests.rollouts.learners import Moody

EPISODE = EpisodeConfig(users=12, steps=6, slots=3)


def simulator() -> PlantedGroups:
    return PlantedGroups(num_items=20, groups=4, width=3, steps=4)


class Noting(UniformPolicy):
    """Keeps what it is asked and taught."""

    def __init__(self, num_items: int = 20) -> None:
        super().__init__(num_items)
        self.asked: list[Context] = []
        self.taught: list[Transition] = []

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        self.asked.append(context)
        return super().sample(context, candidates, slots, generator)

    def update(self, transition: Transition, generator: torch.Generator) -> None:
        self.taught.append(transition)


def steps_of(policy: UniformPolicy | Oracle, seed: int = 0, config: EpisodeConfig = EPISODE) -> list[Step]:
    return list(play(simulator(), policy, config, EpisodeGenerators.seeded(seed)))


def test_each_step_begins_where_the_one_before_ended() -> None:
    steps = steps_of(Noting())
    assert len(steps) == 6
    for one, two in pairwise(steps):
        assert two.state is one.after
        assert two.transition.context is one.transition.next_context
        assert torch.equal(two.transition.active, ~one.transition.done)
    assert [step.transition.active.all().item() for step in steps] == [True] * 4 + [False] * 2
    assert all(step.seconds > 0 for step in steps)


def test_latent_actions_are_handed_from_step_to_step() -> None:
    def scores(context: Context) -> torch.Tensor:
        return torch.zeros(len(context), 20)

    steps = list(play(simulator(), Moody(scores), EPISODE, EpisodeGenerators.seeded(0)))
    assert [step.latents["age"].unique().tolist() for step in steps] == [[1.0], [2.0], [3.0], [4.0], [5.0], [6.0]]
    assert all(torch.equal(step.latents["mood"], steps[0].latents["mood"]) for step in steps)
    kept = {"mood": torch.full((12,), 0.5), "age": torch.full((12,), 7.0)}
    [step, *_] = play(simulator(), Moody(scores), EPISODE, EpisodeGenerators.seeded(0), latents=kept)
    assert (step.latents["mood"] == 0.5).all() and (step.latents["age"] == 8).all()


def test_a_learner_is_taught_every_step_after_it_was_given_out() -> None:
    policy = Noting()
    for count, step in enumerate(play(simulator(), policy, EPISODE, EpisodeGenerators.seeded(0))):
        assert len(policy.taught) == count
        assert step.transition.context is policy.asked[-1]
    assert len(policy.taught) == 6


def test_nothing_is_learnt_from_what_is_shown_after_the_session() -> None:
    policy = Noting()
    steps_of(policy)
    shown = [(one.slates.items >= 0).all().item() for one in policy.taught]
    assert shown == [True] * 4 + [False] * 2
    assert all((one.slates.items == -1).all() and not one.feedback.reward.any() for one in policy.taught[4:])


def test_the_true_scores_are_shown_to_oracles_only() -> None:
    policy = Noting(10)
    list(play(InterestEvolution(), policy, EPISODE, EpisodeGenerators.seeded(0)))
    assert all(type(context) is InterestContext for context in policy.asked)
    for step in steps_of(Oracle(20)):
        context = step.transition.context
        assert isinstance(context, OracleContext)
        assert torch.equal(context.true_scores, simulator().scores(step.state))


def test_an_episode_goes_on_from_a_state_and_its_generators() -> None:
    whole = steps_of(UniformPolicy(20))
    first, second = EpisodeGenerators.seeded(0), EpisodeGenerators.seeded(9)
    half = EpisodeConfig(12, 3, 3)
    begun = list(play(simulator(), UniformPolicy(20), half, first))
    second.load_state_dict(first.state_dict())
    rest = list(play(simulator(), UniformPolicy(20), half, second, begun[-1].after))
    for one, two in zip(whole[3:], rest, strict=True):
        assert torch.equal(one.transition.slates.items, two.transition.slates.items)
        assert torch.equal(one.transition.feedback.reward, two.transition.feedback.reward)


@pytest.mark.parametrize("wrong", [{"users": 0}, {"steps": -1}, {"slots": 0}])
def test_numbers_below_one_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=r"(users|steps|slots)=(0|-1): expected at least 1"):
        EpisodeConfig(**{"users": 2, "steps": 2, "slots": 2, **wrong})


def test_generators_of_one_seed_share_users_and_differ_by_the_policys_name() -> None:
    def draws(generators: EpisodeGenerators) -> tuple[float, float]:
        luck, own = (torch.rand((), generator=one).item() for one in (generators.simulator, generators.policy))
        return luck, own

    found = {name: draws(EpisodeGenerators.seeded(3, policy=name)) for name in ("random", "random too", "")}
    assert len({luck for luck, _ in found.values()}) == 1
    assert len({own for _, own in found.values()}) == 3
    assert draws(EpisodeGenerators.seeded(3, policy="random")) == found["random"]
    every = {policy_seed(seed, name, purpose) for seed in range(9) for name in found for purpose in ("", "slot_draws")}
    assert len(every) == 9 * 3 * 2
    assert all(seed % 2 == 1 and seed < 2**32 for seed in every), "even seeds are those of simulators"
