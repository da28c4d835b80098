from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch.nn.functional import cosine_similarity

from recsys.metrics.diversity import intra_list_distance


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
