from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recsys.bench.episode import EpisodeConfig, Oracle, Trajectory, in_slate_distance, run_episode, slot_share
from recsys.policies.bandits.greedy import Greedy, UniformPolicy
from recsys.policies.bandits.posteriors import LinearPosterior
from recsys.policies.bandits.thompson import InSlateThompson
from recsys.policies.policy import Policy
from recsys.simulate.features import GroupFeatures
from recsys.simulate.interest_evolution import InterestEvolution
from recsys.simulate.planted_groups import PlantedGroups
from recsys.types.context import Context
from recsys.types.feedback import Feedback
from recsys.types.slates import Slates

GAME = EpisodeConfig(users=12, steps=6, slots=3)


def world() -> PlantedGroups:
    return PlantedGroups(num_items=20, groups=4, width=3, steps=4)


def thompson() -> InSlateThompson:
    return InSlateThompson(LinearPosterior(GroupFeatures(20, 4), 20, pool=16))


def parts(played: Trajectory) -> list[Tensor]:
    return [played.items, played.log_prob, played.reward, played.active, played.diversity]


@pytest.mark.parametrize(
    "make", [lambda: UniformPolicy(20), thompson, lambda: Oracle(20)], ids=["random", "thompson", "oracle"]
)
def test_equal_seeds_play_alike_and_others_do_not(make) -> None:
    first, again, other = (parts(run_episode(world(), make(), GAME, seed)) for seed in (3, 3, 4))
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first[2], other[2])


def test_every_policy_meets_the_same_users_with_the_same_luck() -> None:
    """Who shows the same slates sees the same clicks, whatever else the policy draws."""

    class Same(UniformPolicy):
        def __init__(self, wasted: int) -> None:
            super().__init__(20)
            self.wasted = wasted

        def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
            torch.rand(self.wasted, generator=generator)
            items = torch.arange(slots).expand(len(context), 1, slots)
            return Slates(items, torch.zeros(items.shape))

    first, second = (run_episode(world(), Same(wasted), GAME, seed=0) for wasted in (0, 7))
    assert first.reward.any()
    assert torch.equal(first.reward, second.reward)


def test_nothing_is_earned_or_counted_after_the_session() -> None:
    played = run_episode(world(), UniformPolicy(20), GAME, seed=0)
    assert played.active[:4].all() and not played.active[4:].any()
    assert not played.reward[4:].any()
    assert played.items.shape == (6, 12, 3)


def test_a_learner_is_taught_what_those_saw_who_were_still_there() -> None:
    taught: list[tuple[Slates, Feedback]] = []

    class Noting(UniformPolicy):
        def update(self, context: Context, slates: Slates, feedback: Feedback, generator: torch.Generator) -> None:
            taught.append((slates, feedback))

    played = run_episode(world(), Noting(20), GAME, seed=0)
    assert len(taught) == 6
    for step, (slates, feedback) in enumerate(taught):
        assert torch.equal(feedback.reward[:, 0], played.reward[step])
        assert torch.equal(slates.items[:, 0], played.items[step] if step < 4 else torch.full((12, 3), -1))


def test_learning_pays_and_the_oracle_pays_more() -> None:
    simulator = PlantedGroups(num_items=40, groups=4, width=3, sharpness=8.0, spread=0.01, steps=60)
    game = EpisodeConfig(users=100, steps=60, slots=2)

    def earned(policy: Policy) -> float:
        return run_episode(simulator, policy, game, seed=0).reward.sum().item()

    learnt = earned(Greedy(LinearPosterior(GroupFeatures(40, 4), 40)))
    assert earned(UniformPolicy(40)) < learnt < earned(Oracle(40))


def test_the_truth_is_shown_to_oracles_only() -> None:
    seen: list[set[str]] = []

    class Looking(UniformPolicy):
        def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
            seen.append(set(context.features))
            return super().sample(context, candidates, slots, generator)

    run_episode(InterestEvolution(), Looking(10), GAME, seed=0)
    assert all(names == {"interests", "topics"} for names in seen)


def test_diversity_is_the_mean_distance_of_shown_items() -> None:
    items = torch.tensor([[[5, 6, 7]], [[5, 6, -1]], [[5, -1, -1]]])
    vectors = torch.tensor([[[0.0], [1.0], [4.0]]]).expand(3, -1, -1)
    distance = in_slate_distance(vectors, Slates(items, items.float()))
    torch.testing.assert_close(distance, torch.tensor([(1 + 4 + 3) / 3, 1.0, 0.0]))


def test_slot_shares_are_estimated_beside_and_change_nothing() -> None:
    game = EpisodeConfig(users=12, steps=4, slots=3, slot_draws=300)
    without, with_shares = run_episode(world(), thompson(), GAME, 3), run_episode(world(), thompson(), game, 3)
    assert without.slot_share is None and with_shares.slot_share is not None
    for one, two in zip(parts(without), parts(with_shares), strict=True):
        assert torch.equal(one[:4], two)
    assert with_shares.slot_share.shape == (4, 12, 3)
    first = with_shares.log_prob[..., 0].exp()
    error = (with_shares.slot_share[..., 0] - first).abs()
    assert error.max() < 0.12, "the first slot has no slots before it: its share is its propensity"
    assert error.mean() < 0.03


def test_slot_shares_of_a_uniform_policy_are_even(generator: torch.Generator) -> None:
    context = world().observe(world().reset(50, generator))
    slates = UniformPolicy(20).sample(context, 1, 3, generator)
    shares = slot_share(UniformPolicy(20), context, slates, 600, generator)
    assert shares.shape == (50, 3)
    assert shares.mean().item() == pytest.approx(1 / 20, abs=0.004)
