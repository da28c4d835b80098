from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from recsys.metrics.diversity import coverage, exposure, gini, intra_list_distance, novelty, self_information


def test_missing_items_are_not_exposed() -> None:
    items = torch.tensor([[0, 3], [3, -1], [-1, -1]])
    assert exposure(items, 5).tolist() == [1, 0, 0, 2, 0]
    assert coverage(items, 5) == 0.4


def test_nothing_recommended() -> None:
    nothing = torch.full((2, 3), -1)
    assert coverage(nothing, 4) == 0
    assert gini(exposure(nothing, 4)) == 0


def test_gini_is_half_the_relative_mean_absolute_difference() -> None:
    counts = torch.randint(0, 20, (30,))
    pairs = (counts.unsqueeze(0) - counts.unsqueeze(1)).abs().double().mean()
    assert gini(counts) == pytest.approx(float(pairs / (2 * counts.double().mean())))


def test_gini_ignores_order_and_scale_and_grows_with_concentration() -> None:
    counts = torch.tensor([5, 1, 3])
    assert gini(counts) == pytest.approx(gini(counts.flip(0) * 7))
    assert gini(torch.tensor([4, 4, 1])) < gini(torch.tensor([7, 1, 1]))


def test_equals_the_mean_over_pairs() -> None:
    vectors = torch.randn(20, 6)
    items = torch.stack([torch.randperm(20)[:5] for _ in range(8)])
    items[3, 3:] = -1
    expected = [
        torch.stack([1 - cosine_similarity(vectors[a], vectors[b], dim=0) for a, b in combinations(row, 2)]).mean()
        for row in ([item for item in row if item >= 0] for row in items.tolist())
    ]
    assert torch.allclose(intra_list_distance(items, vectors), torch.stack(expected), atol=1e-5)


def test_length_of_vectors_does_not_matter() -> None:
    vectors, items = torch.randn(6, 4), torch.tensor([[0, 1, 2], [3, 4, 5]])
    scaled = vectors * torch.rand(6, 1).add(0.1)
    assert torch.allclose(intra_list_distance(items, vectors), intra_list_distance(items, scaled), atol=1e-6)


@pytest.mark.parametrize(("second", "distance"), [([2.0, 0.0], 0), ([0.0, 1.0], 1), ([-1.0, 0.0], 2), ([0.0, 0.0], 1)])
def test_bounds_and_zero_vectors(second: list[float], distance: float) -> None:
    vectors = torch.tensor([[1.0, 0.0], second])
    assert intra_list_distance(torch.tensor([[0, 1]]), vectors).item() == pytest.approx(distance)


def test_a_list_of_one_has_no_distance() -> None:
    assert intra_list_distance(torch.tensor([[0, -1], [-1, -1]]), torch.ones(2, 2)).tolist() == [0, 0]


def test_information_falls_with_popularity_and_stays_finite() -> None:
    information = self_information(torch.tensor([0, 1, 10, 1000]))
    assert information.isfinite().all()
    assert (information.diff() < 0).all()


def test_shares_behind_the_information_sum_to_one() -> None:
    assert torch.allclose(torch.exp2(-self_information(torch.randint(0, 50, (40,)))).sum(), torch.ones(()).double())


def test_missing_items_do_not_count() -> None:
    information = torch.tensor([1.0, 5.0])
    lists = torch.tensor([[0, 1], [1, -1], [-1, -1]])
    assert novelty(lists, information).tolist() == [3, 5, 0]


METRICS = pytest.mark.parametrize(
    "metric",
    [
        lambda items: exposure(items, 4),
        lambda items: coverage(items, 4),
        lambda items: intra_list_distance(items, torch.eye(4)),
        lambda items: novelty(items, torch.ones(4)),
    ],
    ids=["exposure", "coverage", "intra_list_distance", "novelty"],
)


@METRICS
def test_every_metric_of_lists_refuses_a_repeated_item(metric: Callable[[Tensor], object]) -> None:
    metric(torch.tensor([[0, 3, -1, -1]]))
    with pytest.raises(ValueError, match="list 1 of 2 recommends item 3 twice"):
        metric(torch.tensor([[0, 3, -1], [3, 0, 3]]))


@METRICS
@pytest.mark.parametrize("wrong", [-2, 4])
def test_every_metric_of_lists_refuses_what_is_no_item(metric: Callable[[Tensor], object], wrong: int) -> None:
    with pytest.raises(ValueError, match=f"list 1 of 2 holds item {wrong}, expected items from 0 to 3, or -1"):
        metric(torch.tensor([[0, 3], [1, wrong]]))
