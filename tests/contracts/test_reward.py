"""The laws of every reward; a new reward is a row in `REWARDS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from recsys.models.rewards.session import SessionRewardModel
from recsys.rewards.combined import ThresholdedReward, WeightedSum
from recsys.rewards.frozen_model import CollaborativeReward, SemanticReward
from recsys.rewards.learned import LearnedReward, OneHead, ProbabilityMean, RankSum, StandardisedSum
from recsys.rewards.legality import LegalityReward
from recsys.rewards.novelty import SlateDiversity
from recsys.rewards.rank import NdcgReward, RankingReward, ReleasedRankingReward
from recsys.rewards.reward import HitReward, Reward, SlotHitReward
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates

ITEMS, REQUESTS, CANDIDATES, SLOTS = 9, 6, 5, 3


class FrozenScorer:
    """Impossible items, and scores that depend on the user and on the whole history."""

    def catalogue_log_prob(self, context: Context) -> Tensor:
        padded = context.history.to_padded(0).double()
        seen = (padded * torch.arange(1, 1 + padded.shape[1])).sum(1)
        scores = torch.outer(context.users + 1 + seen, torch.linspace(-1, 1, ITEMS, dtype=torch.float64)).sin()
        return scores.index_fill(1, torch.tensor([2]), -torch.inf).log_softmax(-1)


def item_vectors() -> Tensor:
    vectors = torch.randn(ITEMS, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    vectors[3] = 0
    return vectors


REWARDS: dict[str, Callable[[], Reward]] = {
    "hit": HitReward,
    "slot_hit": SlotHitReward,
    "legality": LegalityReward,
    "weighted_slots": lambda: WeightedSum({"hit": HitReward(), "slot": SlotHitReward()}, {"hit": 0.5, "slot": 1.0}),
    "ranking": RankingReward,
    "released_ranking": ReleasedRankingReward,
    "ndcg": lambda: NdcgReward(cutoff=2),
    "semantic": lambda: SemanticReward(item_vectors()),
    "collaborative": lambda: CollaborativeReward(FrozenScorer(), floor=-3.0),
    "weighted": lambda: WeightedSum({"hit": HitReward(), "ranking": RankingReward()}, {"hit": 1.0, "ranking": -0.5}),
    "diversity": lambda: SlateDiversity(item_vectors()),
    "gated": lambda: ThresholdedReward(NdcgReward(), gate=SemanticReward(item_vectors()), threshold=0.1),
}


def session_reward_model() -> SessionRewardModel:
    torch.manual_seed(0)
    return SessionRewardModel(item_vectors().float(), ["click", "like"], width=8, hidden=8, max_length=3).double()


REWARDS |= {
    "learned": lambda: LearnedReward(session_reward_model(), StandardisedSum({"click": 1.0, "like": -0.5})),
    "learned_ranks": lambda: LearnedReward(session_reward_model(), RankSum()),
    "learned_head": lambda: LearnedReward(session_reward_model(), OneHead("like")),
    "learned_mean": lambda: LearnedReward(session_reward_model(), ProbabilityMean({"click": 2.0, "like": -0.5})),
}
every_reward = pytest.mark.parametrize("make", REWARDS.values(), ids=REWARDS)


@pytest.fixture
def example() -> Example:
    """Requests with histories from none to long, of unequal lengths, and what they hold excluded."""
    rows = torch.arange(REQUESTS)
    history = Jagged.from_rows([[], [3], [5, 1, 2], [5, 5], [7, 4, 1, 3], [6]])
    return Example.next_item(Context(rows, history, history), (rows * 2) % ITEMS)


@pytest.fixture
def slates(example: Example, generator: torch.Generator) -> Slates:
    """Distinct items in a slate; the last request lacks its last two candidates; half of the requests have a hit."""
    items = torch.rand(REQUESTS, CANDIDATES, ITEMS - 1, generator=generator).argsort(-1)[..., :SLOTS]
    items = items + (items >= example.item[:, None, None]).long()
    items[::2, 1, 2] = example.item[::2]
    items[1, 0, 0] = example.item[1]
    log_prob = -torch.rand(REQUESTS, CANDIDATES, SLOTS, generator=generator, dtype=torch.float64)
    items[-1, -2:], log_prob[-1, -2:] = -1, -torch.inf
    return Slates(items, log_prob)


@every_reward
def test_it_is_a_reward(make: Callable[[], Reward]) -> None:
    assert isinstance(make(), Reward)


@every_reward
def test_one_finite_number_a_slate_or_a_slot_and_zero_where_there_is_none(
    make: Callable[[], Reward], example: Example, slates: Slates
) -> None:
    value = make()(example, slates)
    assert value.shape in {(REQUESTS, CANDIDATES), (REQUESTS, CANDIDATES, SLOTS)}
    assert value.dtype == slates.log_prob.dtype
    assert value.isfinite().all()
    assert (value[~slates.mask] == 0).all()
    assert value.unique().numel() > 1


@every_reward
def test_values_lie_in_the_bounds(make: Callable[[], Reward], example: Example, slates: Slates) -> None:
    reward = make()
    value = reward(example, slates)
    if reward.bounds is None:
        assert value.isfinite().all()
        return
    assert (value >= reward.bounds[0]).all()
    assert (value <= reward.bounds[1]).all()


@every_reward
def test_it_says_whether_order_matters(make: Callable[[], Reward], example: Example, slates: Slates) -> None:
    reward = make()
    value = reward(example, slates)
    slots, candidates = torch.tensor([2, 0, 1]), torch.tensor([1, 2, 0])
    others = torch.cat([candidates, torch.arange(3, CANDIDATES)])
    turned = reward(example, replace(slates, items=slates.items[..., slots], log_prob=slates.log_prob[..., slots]))
    listed = reward(example, replace(slates, items=slates.items[:, others], log_prob=slates.log_prob[:, others]))
    unchanged = torch.allclose(turned, value) and torch.allclose(listed, value[:, others])
    assert unchanged is not reward.order_matters


@every_reward
def test_a_request_is_not_touched_by_the_others(make: Callable[[], Reward], example: Example, slates: Slates) -> None:
    """Alone, in another order, and beside itself, it earns what it earns in the whole batch."""
    reward = make()
    together = reward(example, slates)
    for rows in (*torch.arange(REQUESTS).split(1), torch.tensor([4, 1]), torch.tensor([2, 5, 2, 0])):
        some = Slates(slates.items[rows], slates.log_prob[rows])
        assert torch.allclose(reward(example.select(rows), some), together[rows])


@every_reward
def test_missing_candidates_change_nothing(make: Callable[[], Reward], example: Example, slates: Slates) -> None:
    nothing = torch.full((REQUESTS, 2, SLOTS), -1)
    padded = Slates(
        torch.cat([slates.items, nothing], 1),
        torch.cat([slates.log_prob, torch.full(nothing.shape, -torch.inf, dtype=torch.float64)], 1),
    )
    assert torch.allclose(make()(example, padded)[:, :CANDIDATES], make()(example, slates))
