from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recsys.bench.record import EpisodeRecord, in_slate_distance, record_episode, slot_propensity
from recsys.policies.bandits.greedy import Greedy, UniformPolicy
from recsys.policies.bandits.posteriors import LinearPosterior
from recsys.policies.bandits.thompson import InSlateThompson
from recsys.policies.baselines.oracle import Oracle
from recsys.policies.policy import Policy
from recsys.rollouts.episode import EpisodeConfig
from recsys.simulate.features import GroupFeatures
from recsys.simulate.planted_groups import PlantedGroups
from recsys.types.context import Context
from recsys.types.slates import Slates
from recsys.types.transition import Transition

GAME = EpisodeConfig(users=12, steps=6, slots=3)


def simulator() -> PlantedGroups:
    return PlantedGroups(num_items=20, groups=4, width=3, steps=4)


def thompson() -> InSlateThompson:
    return InSlateThompson(LinearPosterior(GroupFeatures(20, 4), 20, pool=16))


def parts(record: EpisodeRecord) -> list[Tensor]:
    return [record.items, record.log_prob, record.reward, record.active, record.diversity]


@pytest.mark.parametrize(
    "make", [lambda: UniformPolicy(20), thompson, lambda: Oracle(20)], ids=["random", "thompson", "oracle"]
)
def test_equal_seeds_play_alike_and_others_do_not(make) -> None:
    first, again, other = (parts(record_episode(simulator(), make(), GAME, seed)) for seed in (3, 3, 4))
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

    first, second = (record_episode(simulator(), Same(wasted), GAME, seed=0) for wasted in (0, 7))
    assert first.reward.any()
    assert torch.equal(first.reward, second.reward)


def test_nothing_is_earned_or_counted_after_the_session() -> None:
    played = record_episode(simulator(), UniformPolicy(20), GAME, seed=0)
    assert played.active[:4].all() and not played.active[4:].any()
    assert (played.items[:4] >= 0).all() and (played.items[4:] == -1).all()
    assert not played.reward[4:].any() and not played.diversity[4:].any()
    assert played.items.shape == (6, 12, 3)


def test_learning_pays_and_the_oracle_pays_more() -> None:
    simulator = PlantedGroups(num_items=40, groups=4, width=3, sharpness=8.0, spread=0.01, steps=60)
    game = EpisodeConfig(users=100, steps=60, slots=2)

    def earned(policy: Policy) -> float:
        return record_episode(simulator, policy, game, seed=0).reward.sum().item()

    learnt = earned(Greedy(LinearPosterior(GroupFeatures(40, 4), 40)))
    assert earned(UniformPolicy(40)) < learnt < earned(Oracle(40))


def test_diversity_is_the_mean_distance_of_shown_items() -> None:
    items = torch.tensor([[[5, 6, 7]], [[5, 6, -1]], [[5, -1, -1]]])
    vectors = torch.tensor([[[0.0], [1.0], [4.0]]]).expand(3, -1, -1)
    distance = in_slate_distance(vectors, Slates(items, items.float()))
    torch.testing.assert_close(distance, torch.tensor([(1 + 4 + 3) / 3, 1.0, 0.0]))


def test_slot_propensities_are_estimated_apart_and_change_nothing() -> None:
    game = EpisodeConfig(users=12, steps=4, slots=3)
    without = record_episode(simulator(), thompson(), GAME, 3)
    with_shares = record_episode(simulator(), thompson(), game, 3, slot_draws=300)
    assert without.slot_propensity is None and with_shares.slot_propensity is not None
    for one, two in zip(parts(without), parts(with_shares), strict=True):
        assert torch.equal(one[:4], two)
    assert with_shares.slot_propensity.shape == (4, 12, 3)
    first = with_shares.log_prob[..., 0].exp()
    error = (with_shares.slot_propensity[..., 0] - first).abs()
    assert error.max() < 0.12, "the first slot has no slots before it: its share is its propensity"
    assert error.mean() < 0.03


def test_slot_propensities_of_a_uniform_policy_are_even(generator: torch.Generator) -> None:
    context = simulator().observe(simulator().reset(50, generator))
    slates = UniformPolicy(20).sample(context, 1, 3, generator)
    shares = slot_propensity(UniformPolicy(20), context, slates, 600, generator)
    assert shares.shape == (50, 3)
    assert shares.mean().item() == pytest.approx(1 / 20, abs=0.004)


def test_what_is_kept_does_not_change_with_the_tensors_of_a_policy() -> None:
    """A policy fills one buffer at each step, and a learner writes into what it is given."""

    class Reusing(UniformPolicy):
        def __init__(self) -> None:
            super().__init__(20)
            self.log_prob_buffer = torch.zeros(GAME.users, 1, GAME.slots)
            self.number = 0

        def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
            self.number += 1
            items = torch.arange(slots).expand(len(context), 1, slots)
            return Slates(items, self.log_prob_buffer.fill_(-self.number))

        def update(self, transition: Transition, generator: torch.Generator) -> None:
            transition.feedback.reward.fill_(1000.0)
            transition.slates.items.fill_(0)

    record = record_episode(simulator(), Reusing(), GAME, seed=0)
    assert record.log_prob[:, 0, 0].tolist() == [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0]
    assert record.reward.max() <= 1
    assert record.items[0].tolist() == [[0, 1, 2]] * GAME.users
