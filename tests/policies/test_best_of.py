"""The slate that is served: the most probable, or the best of several."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recsys.errors import ConfigurationError, EmptyLegalSetError, NonFiniteError, RequestError
from recsys.items.trie import Trie
from recsys.models.rewards.session import SessionRewardModel
from recsys.policies.allocation import AdaptiveAllocation
from recsys.policies.autoregressive import AutoregressiveSlatePolicy
from recsys.policies.bandits.greedy import UniformPolicy
from recsys.policies.best_of import BestOf, most_probable_slate
from recsys.policies.policy import Policy, SoftmaxPolicy
from recsys.ranges import RangeError
from recsys.rewards.combined import ThresholdedReward, WeightedSum
from recsys.rewards.learned import LearnedReward, ProbabilitySum, StandardisedSum
from recsys.rewards.reward import Reward
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates
from tests.decode.table_generator import TableGenerator, ragged_codes

ITEMS, USERS = 6, 4
WORTH = torch.tensor([0.0, 1.0, 2.0, 4.0, 8.0, 16.0])


class Worth(Reward):
    """The worth of a slate's items, whatever their order."""

    order_matters, bounds = False, (0.0, float(WORTH.sum()))

    def __call__(self, example: Example, slates: Slates) -> Tensor:
        return WORTH[slates.items.clamp(min=0)].sum(-1).masked_fill(~slates.mask, 0.0)


class FirstSlot(Worth):
    """The worth of each slot, the first one counting double."""

    order_matters = True

    def __call__(self, example: Example, slates: Slates) -> Tensor:
        weight = torch.ones(slates.items.shape[-1])
        weight[0] = 2.0
        return (WORTH[slates.items.clamp(min=0)] * weight).masked_fill(~slates.mask.unsqueeze(-1), 0.0)


def requests(users: int = USERS, excluded: list[int] | None = None) -> Context:
    lists = Jagged.empty(users) if excluded is None else Jagged.from_rows([excluded] * users)
    return Context(torch.arange(users), Jagged.from_rows([[user % ITEMS] for user in range(users)]), lists)


def session_policy() -> AutoregressiveSlatePolicy:
    return AutoregressiveSlatePolicy(TableGenerator(Trie.from_codes(ragged_codes(ITEMS, 3, 2)), USERS), beams=64)


def popular() -> SoftmaxPolicy:
    return SoftmaxPolicy(lambda context: WORTH.expand(len(context), -1).sqrt())


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_most_probable_slate_of_each_kind_of_policy() -> None:
    searched = most_probable_slate(session_policy(), requests(), 3)
    assert torch.equal(searched.items, session_policy().top(requests(), 1, 3).items)
    ranked = most_probable_slate(popular(), requests(), 3)
    assert ranked.items.tolist() == [[[5, 4, 3]]] * USERS
    assert torch.equal(ranked.log_prob, popular().log_prob(requests(), ranked))
    short = most_probable_slate(popular(), requests(excluded=[0, 1, 2, 3]), 3)
    assert short.items.tolist() == [[[5, 4, -1]]] * USERS and short.log_prob[0, 0, 2] == float("-inf")

    class Sampled:
        sample, log_prob = popular().sample, popular().log_prob

    drawn = [most_probable_slate(Sampled(), requests(), 3).items for _ in range(2)]
    assert drawn[0].shape == (USERS, 1, 3) and torch.equal(*drawn)


@pytest.mark.parametrize("make", [session_policy, popular])
def test_the_best_of_the_samples_is_served_with_its_probability(make: type[Policy]) -> None:
    policy = make()
    found = BestOf(policy, Worth(), 16).best(requests(), 2, seeded())
    sampled = policy.sample(requests(), 16, 2, seeded())
    assert torch.equal(found.reward, WORTH[sampled.items].sum(-1).amax(-1))
    assert torch.equal(WORTH[found.slates.items].sum(-1).squeeze(1), found.reward)
    assert torch.allclose(found.slates.log_prob, policy.log_prob(requests(), found.slates), atol=1e-5)
    assert found.sampled.tolist() == [16] * USERS
    different = [len({tuple(sorted(slate)) for slate in request}) for request in sampled.items.tolist()]
    assert found.distinct.tolist() == different
    again = BestOf(policy, Worth(), 16).best(requests(), 2, seeded())
    assert torch.equal(again.slates.items, found.slates.items)


def test_samples_that_are_there_are_not_drawn_again() -> None:
    policy, chooser = popular(), BestOf(popular(), Worth(), 4)
    sampled = policy.sample(requests(), 6, 2, seeded(3))
    found = chooser.best(requests(), 2, seeded(9), sampled)
    assert torch.equal(found.reward, WORTH[sampled.items[:, :4]].sum(-1).amax(-1))
    with pytest.raises(RequestError, match="at least 4 candidates, found 3"):
        chooser.best(requests(), 2, seeded(), policy.sample(requests(), 3, 2, seeded()))


def test_repeats_are_removed_up_to_order_where_the_reward_ignores_it() -> None:
    items = torch.tensor([[[4, 1], [1, 4], [5, 2], [2, 5]]])
    slates = Slates(items, torch.arange(8.0).view(items.shape))
    found = BestOf(popular(), Worth()).among(requests(1), slates)
    assert found.slates.items.tolist() == [[[5, 2]]] and found.slates.log_prob.tolist() == [[[4.0, 5.0]]]
    assert (found.distinct.tolist(), found.sampled.tolist(), found.reward.tolist()) == ([2], [4], [18.0])
    ordered = BestOf(popular(), FirstSlot()).among(requests(1), slates.replace(items=items.flip(1)))
    assert ordered.slates.items.tolist() == [[[5, 2]]], "the order decides, and 2, 5 came first"
    assert (ordered.distinct.tolist(), ordered.reward.tolist()) == ([4], [34.0]), "slots count as their sum"


def test_of_equal_rewards_the_earliest_wins() -> None:
    items = torch.tensor([[[0, 1], [1, 0], [3, 2], [2, 3]], [[2, 3], [3, 2], [0, 1], [1, 0]]])
    slates = Slates(items, torch.zeros(items.shape))

    class Indifferent(Worth):
        def __call__(self, example: Example, slates: Slates) -> Tensor:
            return torch.zeros(slates.mask.shape)

    assert BestOf(popular(), Indifferent()).among(requests(2), slates).slates.items.tolist() == [[[0, 1]], [[2, 3]]]


def test_one_candidate_is_a_sample() -> None:
    found = BestOf(popular(), Worth(), 1).best(requests(), 3, seeded(1))
    assert torch.equal(found.slates.items, popular().sample(requests(), 1, 3, seeded(1)).items)
    adaptive = BestOf(popular(), Worth(), 1, AdaptiveAllocation()).best(requests(), 3, seeded(1))
    assert torch.equal(adaptive.slates.items, found.slates.items)


@pytest.mark.parametrize("make", [session_policy, popular])
def test_where_too_few_items_are_legal_the_first_candidate_is_served_as_it_is(make: type[Policy]) -> None:
    few = requests(excluded=[0, 1, 2, 3])
    found = BestOf(make(), Worth(), 4).best(few, 3, seeded())
    assert bool(found.reward.isnan().all()) and found.distinct.tolist() == [0] * USERS
    assert {tuple(sorted(one)) for one in found.slates.items[:, 0].tolist()} == {(-1, 4, 5)}
    adaptive = BestOf(make(), Worth(), 4, AdaptiveAllocation(exploration=2)).best(few, 3, seeded())
    assert adaptive.sampled.tolist() == [4] * USERS
    with pytest.raises(EmptyLegalSetError):
        BestOf(make(), Worth(), 4).best(requests(excluded=list(range(ITEMS))), 3, seeded())


def test_an_adaptive_allocation_samples_exactly_what_it_says() -> None:
    asked: list[tuple[list[int], int]] = []

    class Counting(SoftmaxPolicy):
        def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
            asked.append((context.users.tolist(), candidates))
            return super().sample(context, candidates, slots, generator)

    def scores(context: Context) -> Tensor:
        """User 0 always gets the same item, the others anything."""
        return torch.where(context.users.unsqueeze(1) == 0, 50.0 * torch.arange(ITEMS), torch.zeros(ITEMS))

    chooser = BestOf(Counting(scores), Worth(), 12, AdaptiveAllocation(exploration=4))
    found = chooser.best(requests(), 1, seeded())
    drawn = torch.zeros(USERS, dtype=torch.int64)
    for users, candidates in asked:
        drawn[users] += candidates
    assert torch.equal(drawn, found.sampled) and int(drawn.sum()) == 12 * USERS
    assert found.sampled[0] == 4, "nothing more is to be found"
    assert found.slates.items[0].item() == ITEMS - 1


def test_no_requests_no_slates() -> None:
    for chooser in (BestOf(session_policy(), Worth(), 4), BestOf(session_policy(), Worth(), 4, AdaptiveAllocation(2))):
        assert len(chooser.best(requests(0), 2, seeded()).reward) == 0


def test_rewards_that_are_not_finite_are_refused() -> None:
    class Broken(Worth):
        def __call__(self, example: Example, slates: Slates) -> Tensor:
            return torch.full(slates.mask.shape, float("nan"))

    with pytest.raises(NonFiniteError, match="Broken"):
        BestOf(popular(), Broken(), 4).best(requests(), 2, seeded())


def test_what_cannot_be_compared_is_refused() -> None:
    model = SessionRewardModel(torch.randn(ITEMS, 3), ["click", "like"], width=8, hidden=8)
    with pytest.raises(RangeError, match="candidates=0"):
        BestOf(popular(), Worth(), 0)
    with pytest.raises(ConfigurationError, match="choose a scalariser with one unit for all, such as ProbabilitySum"):
        BestOf(popular(), LearnedReward(model, StandardisedSum()), allocation=AdaptiveAllocation())
    within = LearnedReward(model, StandardisedSum())
    wrapped = [
        WeightedSum({"within": within, "worth": Worth()}, {"within": 0.1, "worth": 1.0}),
        ThresholdedReward(Worth(), gate=within, threshold=0.0),
        ThresholdedReward(within, gate=Worth(), threshold=0.0),
    ]
    for reward in wrapped:
        with pytest.raises(ConfigurationError, match=type(reward).__name__):
            BestOf(popular(), reward, allocation=AdaptiveAllocation())
    BestOf(popular(), WeightedSum({"a": within, "b": Worth()}, {"a": 0.0, "b": 1.0}), allocation=AdaptiveAllocation())
    chooser = BestOf(popular(), LearnedReward(model, ProbabilitySum()), 12, AdaptiveAllocation())
    found = chooser.best(requests(), 2, seeded())
    odds = model(requests(), found.slates.items)[:, 0]
    assert torch.allclose(found.reward, odds.sigmoid().sum(-1), atol=1e-6)


def test_the_choice_of_a_reward_model_is_that_of_its_scalariser_over_different_candidates() -> None:
    torch.manual_seed(0)
    model = SessionRewardModel(torch.randn(ITEMS, 3), ["click", "like"], width=8, hidden=8).eval()
    sampled = UniformPolicy(ITEMS).sample(requests(), 8, 2, seeded())
    found = BestOf(UniformPolicy(ITEMS), LearnedReward(model, StandardisedSum({"click": 1.0}))).among(
        requests(), sampled
    )
    click = model(requests(), sampled.items)[..., 0]
    assert torch.equal(
        found.slates.items[:, 0].sort(-1).values,
        sampled.items[torch.arange(USERS), click.argmax(-1)].sort(-1).values,
    )
