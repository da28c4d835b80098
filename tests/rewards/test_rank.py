from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from recsys.errors import ConfigurationError
from recsys.rewards.rank import NdcgReward, RankingReward, ReleasedRankingReward
from recsys.rewards.reward import HitReward
from recsys.types.example import Example
from recsys.types.slates import Slates


def test_the_slot_of_the_target_is_discounted(
    make_example: Callable[..., Example], make_slates: Callable[..., Slates]
) -> None:
    slates = make_slates([[[7, 1, 2], [1, 7, 2], [1, 2, 7], [1, 2, 3]]])
    example = make_example([7])
    assert NdcgReward()(example, slates)[0].tolist() == pytest.approx([1.0, 1 / math.log2(3), 0.5, 0.0])
    assert NdcgReward(cutoff=2)(example, slates)[0].tolist() == pytest.approx([1.0, 1 / math.log2(3), 0.0, 0.0])


def test_slates_of_one_slot_earn_a_hit(
    make_example: Callable[..., Example], make_slates: Callable[..., Slates]
) -> None:
    example, slates = make_example([7]), make_slates([[7, 1, -1]])
    assert NdcgReward()(example, slates).tolist() == HitReward()(example, slates).tolist()


def test_a_cutoff_below_one_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="cutoff"):
        NdcgReward(cutoff=0)


MakeExample, MakeSlates = Callable[..., Example], Callable[..., Slates]


def golden(reward: torch.Tensor) -> list[list[float]]:
    return [[round(value, 4) for value in row] for row in reward.tolist()]


def test_golden_values_of_the_formula(make_example: MakeExample, make_slates: MakeSlates) -> None:
    reward = RankingReward()(make_example([7, 7, 7]), make_slates([[7, 1, 2, 3], [0, 1, 2, 3], [0, 1, 7, 3]]))
    assert golden(reward[:2]) == [[0.0, -0.4040, -0.3202, -0.2758], [-0.3904, -0.2463, -0.1952, -0.1681]]
    assert reward.sum(-1).tolist() == pytest.approx([-1.0, -1.0, -1.0])
    assert reward[2, 2] == 0


def test_golden_values_of_the_released_code(make_example: MakeExample, make_slates: MakeSlates) -> None:
    reward = ReleasedRankingReward()(make_example([7, 7, 7]), make_slates([[0, 1, 2, 7], [0, 1, 2, 3], [7, 1, 2, 3]]))
    assert golden(reward) == [
        [-0.3904, -0.2463, -0.1952, 0.0],
        [0.0, 0.0, 0.0, 0.0],
        [0.0, -0.2463, -0.1952, -0.1681],
    ]


def test_the_formula_ranks_by_probability_the_released_code_by_position(
    make_example: MakeExample, make_slates: MakeSlates
) -> None:
    slates = make_slates([[7, 1, 2, 3]], log_prob=[[-1.0, -4.0, -2.0, -3.0]])
    assert golden(RankingReward()(make_example([7]), slates)) == [[0.0, -0.2758, -0.4040, -0.3202]]
    assert golden(ReleasedRankingReward()(make_example([7]), slates)) == [[0.0, -0.2463, -0.1952, -0.1681]]


@pytest.mark.parametrize("reward", [RankingReward(), ReleasedRankingReward()])
def test_a_group_that_holds_only_the_target_earns_nothing(
    reward: RankingReward | ReleasedRankingReward, make_example: MakeExample, make_slates: MakeSlates
) -> None:
    assert reward(make_example([7, 7]), make_slates([[7, -1], [-1, -1]])).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_missing_candidates_have_no_part_in_the_penalty(make_example: MakeExample, make_slates: MakeSlates) -> None:
    reward = RankingReward()(make_example([7]), make_slates([[1, 2, -1, -1]]))
    whole = RankingReward()(make_example([7]), make_slates([[1, 2]]))
    assert reward[0, :2].tolist() == pytest.approx(whole[0].tolist())
    assert (reward[0, 2:] == 0).all()


def test_equal_probabilities_rank_in_the_order_listed(make_example: MakeExample, make_slates: MakeSlates) -> None:
    slates = make_slates([[0, 0, 2, 3]], log_prob=[[-1.0, -1.0, -1.0, -1.0]])
    assert golden(RankingReward()(make_example([7]), slates)) == [[-0.3904, -0.2463, -0.1952, -0.1681]]
