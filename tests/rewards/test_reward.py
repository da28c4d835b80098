from __future__ import annotations

from collections.abc import Callable

from recsys.rewards.reward import HitReward, is_hit
from recsys.types.example import Example
from recsys.types.slates import Slates


def test_a_hit_in_any_slot_earns_one(make_example: Callable[..., Example], make_slates: Callable[..., Slates]) -> None:
    slates = make_slates([[[7, 1], [2, 7], [2, 3]], [[7, 1], [5, 8], [-1, -1]]])
    assert HitReward()(make_example([7, 5]), slates).tolist() == [[1, 1, 0], [0, 1, 0]]
    assert is_hit(make_example([7, 5]), slates).tolist() == [[True, True, False], [False, True, False]]


def test_a_missing_item_is_no_hit(make_example: Callable[..., Example], make_slates: Callable[..., Slates]) -> None:
    assert HitReward()(make_example([-1]), make_slates([[-1, 3]])).tolist() == [[0, 0]]
