from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.objectives.boundary_pair import structural_score
from recsys.objectives.group_relative import grpo
from recsys.objectives.group_transforms import dynamic_sampling, informative, insert_logged, recast_repair, shared_codes
from recsys.types.rollout import Rollout


def one_slot(items: list[list[int]]) -> torch.Tensor:
    return torch.tensor(items).unsqueeze(-1)


def test_only_leading_codes_are_shared() -> None:
    codes = torch.tensor([[[[1, 2, 3]], [[1, 9, 3]], [[0, 2, 3]], [[1, 2, 0]]]])
    assert shared_codes(codes, torch.tensor([[[1, 2, 3]]])).tolist() == [[3, 1, 0, 2]]


def test_codes_of_later_slots_are_shared_where_those_before_are() -> None:
    codes = torch.tensor([[[[1, 2], [3, 4]], [[1, 2], [3, 9]], [[1, 9], [3, 4]]]])
    assert shared_codes(codes, torch.tensor([[[1, 2], [3, 4]]])).tolist() == [[4, 3, 1]]


def test_the_logged_item_takes_the_last_candidates_place_once() -> None:
    items = one_slot([[4, 5, 6], [4, 7, 6], [4, -1, -1], [-1, -1, -1]])
    expected = one_slot([[4, 5, 7], [4, 7, 6], [7, -1, -1], [-1, -1, -1]])
    assert torch.equal(insert_logged(items, torch.full((4, 1), 7)), expected)


def test_a_logged_slate_is_missing_where_its_items_stand_in_another_order() -> None:
    items = torch.tensor([[[7, 8], [4, 5]], [[8, 7], [4, 5]]])
    assert insert_logged(items, torch.tensor([[7, 8], [7, 8]])).tolist() == [[[7, 8], [4, 5]], [[8, 7], [7, 8]]]


def test_repair_overwrites_the_candidate_least_like_the_logged_item() -> None:
    items = one_slot([[4, 5, 6, -1], [4, 7, 6, -1], [-1, -1, -1, -1]])
    score = structural_score(torch.tensor([[1, 0, 2, 0], [0, 3, 0, 0], [0, 0, 0, 0]]), 3)
    expected = one_slot([[4, 7, 6, -1], [4, 7, 6, -1], [-1, -1, -1, -1]])
    assert torch.equal(recast_repair(items, torch.full((3, 1), 7), score), expected)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=9), st.integers(0, 5), st.integers(1, 9))
def test_dynamic_sampling_keeps_the_logged_item_and_as_many_items_as_there_are(
    drawn: list[int], logged: int, keep: int
) -> None:
    keep = min(keep, len(drawn))
    columns = dynamic_sampling(one_slot([drawn]), torch.tensor([[logged]]), keep)[0].tolist()
    kept = [drawn[column] for column in columns]
    assert len(kept) == keep
    assert columns == sorted(set(columns))
    assert len(set(kept)) == min(keep, len(set(drawn)))
    assert (logged in kept) == (logged in drawn)


def test_dynamic_sampling_lets_missing_candidates_go_first() -> None:
    assert dynamic_sampling(one_slot([[4, 4, -1, -1]]), torch.tensor([[9]]), 3).tolist() == [[0, 1, 2]]


def test_dynamic_sampling_compares_whole_slates() -> None:
    items = torch.tensor([[[1, 2], [1, 2], [2, 1], [1, 3]]])
    assert dynamic_sampling(items, torch.tensor([[1, 3]]), 3).tolist() == [[0, 2, 3]]


def test_informative_keeps_the_requests_with_different_rewards(make_rollout: Callable[..., Rollout]) -> None:
    group = make_rollout([[1, 3, 4], [2, 0, 5], [0, -1, -1], [-1, -1, -1]])
    kept = informative(group)
    assert kept.reward.tolist() == [[0.5, 1.0, 0.2]]
    assert kept.shared_codes is not None
    assert kept.shared_codes.shape == (1, 3)
    assert kept.log_inclusion is None
    assert grpo(kept).value.requires_grad


def test_informative_may_keep_nothing(make_rollout: Callable[..., Rollout]) -> None:
    kept = informative(make_rollout([[1, 3, 4]]))
    assert kept.reward.shape == (0, 3)
    assert grpo(kept).value.item() == pytest.approx(0.0)


def test_a_difference_in_one_slot_informs(make_rollout: Callable[..., Rollout]) -> None:
    """The first request's slates earn the same in both orders, slot by slot they do not."""
    items = torch.tensor([[[0, 1], [1, 0]], [[2, 3], [2, 3]]])
    group = make_rollout([[0, 1], [2, 2]])
    slates = group.replace(
        items=items,
        token_log_prob=group.token_log_prob.expand(2, 2, 2, 2),
        behaviour_log_prob=group.behaviour_log_prob.expand(2, 2, 2, 2),
        reward=torch.ones(2, 2, dtype=torch.float64),
        logged_log_prob=None,
        reference_log_prob=None,
    )
    assert len(informative(slates)) == 0
    by_slot = slates.replace(slot_reward=torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]]).double())
    assert torch.equal(informative(by_slot).items, items[:1])
