from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.objectives.group_relative import grpo
from recsys.objectives.group_transforms import add_target, dynamic_sampling, informative, recast_repair, shared_codes
from recsys.objectives.recast import structural_score
from recsys.types.rollout import Group


def test_only_leading_codes_are_shared() -> None:
    codes = torch.tensor([[[1, 2, 3], [1, 9, 3], [0, 2, 3], [1, 2, 0]]])
    assert shared_codes(codes, torch.tensor([[1, 2, 3]])).tolist() == [[3, 1, 0, 2]]


def test_the_target_takes_the_last_candidates_place_once() -> None:
    items = torch.tensor([[4, 5, 6], [4, 7, 6], [4, -1, -1], [-1, -1, -1]])
    expected = [[4, 5, 7], [4, 7, 6], [7, -1, -1], [-1, -1, -1]]
    assert add_target(items, torch.full((4,), 7)).tolist() == expected


def test_repair_overwrites_the_candidate_least_like_the_target() -> None:
    items = torch.tensor([[4, 5, 6, -1], [4, 7, 6, -1], [-1, -1, -1, -1]])
    score = structural_score(torch.tensor([[1, 0, 2, 0], [0, 3, 0, 0], [0, 0, 0, 0]]), 3)
    expected = [[4, 7, 6, -1], [4, 7, 6, -1], [-1, -1, -1, -1]]
    assert recast_repair(items, torch.full((3,), 7), score).tolist() == expected


@given(st.lists(st.integers(0, 5), min_size=1, max_size=9), st.integers(0, 5), st.integers(1, 9))
def test_dynamic_sampling_keeps_the_target_and_as_many_items_as_there_are(
    drawn: list[int], target: int, keep: int
) -> None:
    keep = min(keep, len(drawn))
    columns = dynamic_sampling(torch.tensor([drawn]), torch.tensor([target]), keep)[0].tolist()
    kept = [drawn[column] for column in columns]
    assert len(kept) == keep
    assert columns == sorted(set(columns))
    assert len(set(kept)) == min(keep, len(set(drawn)))
    assert (target in kept) == (target in drawn)


def test_dynamic_sampling_lets_missing_candidates_go_first() -> None:
    items = torch.tensor([[4, 4, -1, -1]])
    assert dynamic_sampling(items, torch.tensor([9]), 3).tolist() == [[0, 1, 2]]


def test_informative_keeps_the_requests_with_different_rewards(make_group: Callable[..., Group]) -> None:
    group = make_group([[1, 3, 4], [2, 0, 5], [0, -1, -1], [-1, -1, -1]])
    kept = informative(group)
    assert kept.reward.tolist() == [[0.5, 1.0, 0.2]]
    assert kept.shared_codes is not None
    assert kept.shared_codes.shape == (1, 3)
    assert kept.log_inclusion is None
    assert grpo(kept).value.requires_grad


def test_informative_may_keep_nothing(make_group: Callable[..., Group]) -> None:
    kept = informative(make_group([[1, 3, 4]]))
    assert kept.reward.shape == (0, 3)
    assert grpo(kept).value.item() == pytest.approx(0.0)
