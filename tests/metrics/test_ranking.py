from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.metrics.ranking import hit_rate, ndcg, rank_in_list, rank_in_scores, reciprocal_rank

INF = float("inf")


def test_values_at_and_beyond_the_cutoff() -> None:
    rank = torch.tensor([1, 2, 10, 11, 0])
    assert hit_rate(rank, 10).tolist() == [1, 1, 1, 0, 0]
    assert ndcg(rank, 10).tolist() == pytest.approx([1, 1 / math.log2(3), 1 / math.log2(11), 0, 0])
    assert reciprocal_rank(rank, 10).tolist() == pytest.approx([1, 0.5, 0.1, 0, 0])


def test_an_infinite_rank_is_not_found() -> None:
    rank = torch.tensor([2.0, INF])
    assert hit_rate(rank, 10**9).tolist() == [1, 0]
    assert ndcg(rank, 10**9)[1] == 0 and reciprocal_rank(rank, 10**9)[1] == 0


@given(st.lists(st.integers(0, 60), min_size=1, max_size=50), st.integers(1, 49), st.integers(1, 50))
def test_a_wider_cutoff_gains_what_its_new_hits_allow(ranks: list[int], low: int, more: int) -> None:
    """Of ΔHR new hits each is worth at least 1/log2(K + 1) and at most 1/log2(K' + 2)."""
    rank, high = torch.tensor(ranks), low + more
    hits = (hit_rate(rank, high) - hit_rate(rank, low)).mean()
    gain = (ndcg(rank, high) - ndcg(rank, low)).mean()
    assert hits / math.log2(high + 1) - 1e-12 <= gain <= hits / math.log2(low + 2) + 1e-12


def test_cutoff_one_cannot_tell_the_metrics_apart() -> None:
    rank = torch.tensor([0, 1, 2, 1])
    assert torch.equal(hit_rate(rank, 1), ndcg(rank, 1))
    assert torch.equal(hit_rate(rank, 1), reciprocal_rank(rank, 1))


def test_rank_in_scores_is_the_mean_place_over_all_orders_of_ties() -> None:
    scores, target = torch.randint(0, 6, (200, 12)).float(), torch.randint(0, 12, (200,))
    for row, item, rank in zip(scores.tolist(), target.tolist(), rank_in_scores(scores, target).tolist(), strict=True):
        alike = [place for place, score in enumerate(sorted(row, reverse=True), start=1) if score == row[item]]
        assert rank == sum(alike) / len(alike)


def test_without_ties_rank_in_scores_is_the_place_in_the_sorted_list() -> None:
    scores, target = torch.rand(200, 12), torch.randint(0, 12, (200,))
    order = scores.argsort(dim=1, descending=True)
    assert torch.equal(rank_in_scores(scores, target), rank_in_list(order, target).double())


def test_scores_that_make_no_difference_earn_what_a_random_order_hits() -> None:
    rank = rank_in_scores(torch.full((3, 1000), -6.9), torch.tensor([7, 500, 999]))
    assert rank.tolist() == [500.5] * 3
    assert ndcg(rank, 10).tolist() == [0, 0, 0]


@pytest.mark.parametrize("broken", [[0], [3], [0, 1, 2, 3]], ids=["target", "another", "all"])
def test_a_row_with_nan_ranks_nothing(broken: list[int]) -> None:
    scores = torch.tensor([[0.9, 0.1, 0.2, 0.3], [0.9, 0.1, 0.2, 0.3]])
    scores[1, broken] = float("nan")
    rank = rank_in_scores(scores, torch.tensor([0, 0]))
    assert rank.tolist() == [1, 0]
    assert [metric(rank, 4)[1].item() for metric in (hit_rate, ndcg, reciprocal_rank)] == [0, 0, 0]


def test_infinite_scores_have_their_place() -> None:
    scores = torch.tensor([[INF, 1.0, -INF, INF]])
    assert [rank_in_scores(scores, torch.tensor([item])).item() for item in range(4)] == [1.5, 3, 0, 1.5]


def test_what_cannot_be_recommended_has_no_rank() -> None:
    scores = torch.tensor([[-INF, 1.0, 0.0]])
    assert rank_in_scores(scores, torch.tensor([0])).tolist() == [0]
    assert rank_in_list(torch.tensor([[1, 2, -1]]), torch.tensor([0])).tolist() == [0]


def test_a_list_that_holds_an_item_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="list 1 of 2 recommends item 5 twice"):
        rank_in_list(torch.tensor([[5, 2, -1, -1], [5, 1, 5, -1]]), torch.tensor([5, 5]))


@pytest.mark.parametrize("wrong", [-1, 3])
def test_a_target_that_is_no_item_has_no_rank_among_scores(wrong: int) -> None:
    with pytest.raises(ValueError, match=f"request 1 has target {wrong}, expected an item from 0 to 2"):
        rank_in_scores(torch.zeros(2, 3), torch.tensor([0, wrong]))
