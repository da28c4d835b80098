from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hydra.utils import instantiate

from recsys.errors import ConfigurationError
from recsys.rewards.combined import ThresholdedReward, WeightedSum, with_parts
from recsys.rewards.frozen_model import SemanticReward
from recsys.rewards.rank import NdcgReward, RankingReward
from recsys.rewards.reward import HitReward
from recsys.types.example import Example
from recsys.types.slates import Slates

VECTORS = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [-1.0, 0.0]])


def test_only_what_passes_the_gate_earns(
    make_example: Callable[..., Example], make_slates: Callable[..., Slates]
) -> None:
    reward = ThresholdedReward(RankingReward(), gate=SemanticReward(VECTORS), threshold=0.7)
    earned = reward(make_example([0]), make_slates([[0, 1, 2, 3]]))
    assert earned[0].tolist() == pytest.approx([0.0, -0.4040, 0.0, 0.0], abs=5e-5)


def test_bounds_hold_zero_and_order_follows_the_parts() -> None:
    assert ThresholdedReward(RankingReward(), gate=HitReward(), threshold=0.5).bounds == (-1.0, 0.0)
    assert not ThresholdedReward(RankingReward(), gate=HitReward(), threshold=0.5).order_matters
    assert ThresholdedReward(RankingReward(), gate=NdcgReward(), threshold=0.5).order_matters


class Unbounded:
    order_matters = False
    bounds = None

    def __call__(self, example: Example, slates: Slates) -> torch.Tensor:
        return torch.ones(slates.items.shape[:2])


def test_the_published_sum(make_example: Callable[..., Example], make_slates: Callable[..., Slates]) -> None:
    reward = WeightedSum({"hit": HitReward(), "ranking": RankingReward()}, {"ranking": 1.0, "hit": 1.0})
    example, slates = make_example([7]), make_slates([[7, 1, 2, 3]])
    assert reward(example, slates)[0].tolist() == pytest.approx([1.0, -0.4040, -0.3202, -0.2758], abs=5e-5)
    assert reward.parts(example, slates)["hit"].tolist() == [[1, 0, 0, 0]]
    assert reward.bounds == (-1.0, 1.0)


def test_bounds_and_order_follow_the_parts() -> None:
    assert WeightedSum({"hit": HitReward(), "ranking": RankingReward()}, {"hit": 2.0, "ranking": -3.0}).bounds == (
        0.0,
        5.0,
    )
    assert WeightedSum({"hit": HitReward(), "free": Unbounded()}, {"hit": 1.0, "free": 1.0}).bounds is None
    assert WeightedSum({"ndcg": NdcgReward()}, {"ndcg": 1.0}).order_matters
    assert not WeightedSum({"hit": HitReward(), "ndcg": NdcgReward()}, {"hit": 1.0, "ndcg": 0.0}).order_matters


@pytest.mark.parametrize(("parts", "weights"), [({"hit": HitReward()}, {"hti": 1.0}), ({}, {})])
def test_every_part_needs_one_weight(parts: dict[str, HitReward], weights: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="weight"):
        WeightedSum(parts, weights)


def test_a_configuration_binds_parts_and_weights(
    make_example: Callable[..., Example], make_slates: Callable[..., Slates]
) -> None:
    reward = instantiate(
        {
            "_target_": "recsys.rewards.combined.WeightedSum",
            "rewards": {
                "hit": {"_target_": "recsys.rewards.reward.HitReward"},
                "ranking": {"_target_": "recsys.rewards.rank.RankingReward"},
            },
            "weights": {"hit": 1, "ranking": 0.5},
        }
    )
    earned = reward(make_example([7]), make_slates([[7, 1]]))
    assert earned[0].tolist() == pytest.approx([1.0, -0.5])


class SlotReward:
    """The item's index, slot by slot."""

    order_matters, bounds = True, None

    def __call__(self, example: Example, slates: Slates) -> torch.Tensor:
        return slates.items.float().masked_fill(~slates.mask.unsqueeze(-1), 0.0)


def two_slots() -> Slates:
    items = torch.tensor([[[7, 1], [2, 7], [3, -1]]])
    return Slates(items, torch.zeros(1, 3, 2))


def test_what_a_slate_earns_is_credited_to_its_last_slot(make_example: Callable[..., Example]) -> None:
    reward = WeightedSum({"hit": HitReward(), "index": SlotReward()}, {"hit": 10.0, "index": 1.0})
    example, slates = make_example([7]), two_slots()
    assert reward(example, slates).tolist() == [[[7.0, 11.0], [2.0, 17.0], [0.0, 0.0]]]
    earned, parts = with_parts(reward, example, slates)
    assert torch.equal(earned, reward(example, slates))
    assert {name: value.tolist() for name, value in parts.items()} == {"hit": [[1, 1, 0]], "index": [[8, 9, 0]]}


def test_only_weighted_sums_have_parts(make_example: Callable[..., Example]) -> None:
    earned, parts = with_parts(HitReward(), make_example([7]), two_slots())
    assert earned.tolist() == [[1, 1, 0]]
    assert parts == {}


def test_a_gate_is_of_slates_or_of_slots(make_example: Callable[..., Example]) -> None:
    example, slates = make_example([7]), two_slots()
    by_slate = ThresholdedReward(SlotReward(), gate=HitReward(), threshold=0.5)
    assert by_slate(example, slates).tolist() == [[[7.0, 1.0], [2.0, 7.0], [0.0, 0.0]]]
    by_slot = ThresholdedReward(SlotReward(), gate=SlotReward(), threshold=1.5)
    assert by_slot(example, slates).tolist() == [[[7.0, 0.0], [2.0, 7.0], [0.0, 0.0]]]
    with pytest.raises(ConfigurationError, match="one a slot"):
        ThresholdedReward(HitReward(), gate=SlotReward(), threshold=0.5)(example, slates)


def test_a_gate_that_is_nan_is_passed_on_where_there_is_a_slate(make_example: Callable[..., Example]) -> None:
    class Gate(SlotReward):
        def __call__(self, example: Example, slates: Slates) -> torch.Tensor:
            return torch.full(slates.items.shape[:2], float("nan"))

    earned = ThresholdedReward(SlotReward(), Gate(), 0.5)(make_example([7]), two_slots())
    assert earned.isnan().tolist() == [[[True, True], [True, True], [False, False]]]
