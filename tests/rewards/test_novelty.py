from __future__ import annotations

import pytest
import torch

from recsys.errors import ConfigurationError
from recsys.metrics.diversity import intra_list_distance
from recsys.rewards.combined import WeightedSum
from recsys.rewards.feedback import ChannelReward
from recsys.rewards.novelty import ConsumedNovelty, DistanceNovelty, IntentMatch, PopularityNovelty, SlateDiversity
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.feedback import Channel, Feedback
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates

VECTORS = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
HISTORY = Jagged.from_rows([[1, 0], [], [0, 1]])
CONTEXT = Context(torch.arange(3), HISTORY, Jagged.empty(3))
ITEMS = torch.tensor([[[2, 1]], [[0, 3]], [[3, -1]]])
SLATES = Slates(ITEMS, torch.zeros(3, 1, 2))
CLICKS = torch.tensor([[[1.0, 0.0]], [[1.0, 1.0]], [[0.0, 1.0]]])
EXAMPLE = Example(CONTEXT, SLATES, Feedback({"reward": Channel(CLICKS)}))


def test_novelty_is_the_distance_to_what_the_user_had_last() -> None:
    """With a window of 1, the first user has had east, the second nothing, the third north."""
    found = DistanceNovelty(VECTORS, window=1)(CONTEXT, ITEMS.flatten(1))
    assert found[:, 0].tolist() == [0.0, 1.0, 1.0] and found[:2, 1].tolist() == [1.0, 1.0]
    assert DistanceNovelty(VECTORS, window=2)(CONTEXT, ITEMS.flatten(1))[0].tolist() == [0.0, 0.0]
    assert DistanceNovelty(VECTORS, window=2)(CONTEXT, torch.full((3, 1), 3))[:, 0].tolist() == [1.0, 1.0, 1.0]


def test_rare_items_are_new_to_everybody() -> None:
    found = PopularityNovelty(torch.tensor([3, 1, 1, 7, 0]))(CONTEXT, ITEMS.flatten(1))
    expected = -torch.log2(torch.tensor([4, 2, 2, 8, 1]) / 17)
    torch.testing.assert_close(found[:2], expected[ITEMS[:2, 0]].float())
    assert found.isfinite().all()


def test_novelty_is_paid_where_it_was_consumed() -> None:
    reward = ConsumedNovelty(DistanceNovelty(VECTORS, window=1))
    found = reward(EXAMPLE, SLATES)
    assert found.tolist() == [[[0.0, 0.0]], [[1.0, 1.0]], [[0.0, 0.0]]], "nothing, both, and neither"
    other = EXAMPLE.replace(feedback=Feedback({"reward": Channel(1 - CLICKS)}))
    assert reward(other, SLATES).tolist() == [[[0.0, 1.0]], [[0.0, 0.0]], [[1.0, 0.0]]]


def test_diversity_is_the_metric_of_that_name() -> None:
    found = SlateDiversity(VECTORS)(EXAMPLE, SLATES)
    torch.testing.assert_close(found[:, 0], intra_list_distance(ITEMS[:, 0], VECTORS))
    assert found[:, 0].tolist() == [1.0, 2.0, 0.0]
    twice = Slates(torch.tensor([[[2, 2]]] * 3), torch.zeros(3, 1, 2))
    assert not SlateDiversity(VECTORS)(EXAMPLE, twice).any(), "an item is not unlike itself"
    nowhere = Slates(torch.tensor([[[2, 4]]] * 3), torch.zeros(3, 1, 2))
    assert SlateDiversity(VECTORS)(EXAMPLE, nowhere).flatten().tolist() == [1.0] * 3


def test_an_intent_is_matched_by_the_mean_novelty_of_the_slate() -> None:
    match = IntentMatch(DistanceNovelty(VECTORS, window=1), weight=2.0)
    empty = EXAMPLE.replace(slates=Slates(torch.tensor([[[2, 1]], [[0, 3]], [[-1, -1]]]), torch.zeros(3, 1, 2)))
    found = match(empty, {"intent": torch.tensor([0.5, 0.2, 0.9])})
    torch.testing.assert_close(found, torch.tensor([0.0, -1.6, 0.0]))
    with pytest.raises(ConfigurationError, match="weight"):
        IntentMatch(DistanceNovelty(VECTORS), weight=-1.0)
    with pytest.raises(ConfigurationError, match="window"):
        DistanceNovelty(VECTORS, window=0)


def test_parts_add_up_with_their_weights() -> None:
    parts = {"consumed": ChannelReward(), "novelty": ConsumedNovelty(DistanceNovelty(VECTORS, window=1))}
    both = WeightedSum(parts, {"consumed": 1.0, "novelty": 0.5})(EXAMPLE, SLATES)
    assert both.tolist() == [[[1.0, 0.0]], [[1.5, 1.5]], [[0.0, 0.0]]]
