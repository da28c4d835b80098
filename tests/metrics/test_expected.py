from __future__ import annotations

from itertools import permutations

import pytest
import torch

from recsys.metrics.expected import expected_hit, expected_ndcg, places_of_code
from recsys.metrics.ranking import hit_rate, ndcg


@pytest.mark.parametrize("k", [1, 2, 3, 5, 10])
@pytest.mark.parametrize(("before", "sharing"), [(0, 1), (0, 4), (2, 3), (4, 2), (9, 4), (12, 1)])
def test_the_mean_over_every_order_of_the_tied_items(before: int, sharing: int, k: int) -> None:
    ranks = torch.tensor([before + 1 + order.index(0) for order in permutations(range(sharing))])
    asked = torch.tensor([before]), torch.tensor([sharing]), k
    assert expected_hit(*asked).item() == pytest.approx(hit_rate(ranks, k).mean().item())
    assert expected_ndcg(*asked).item() == pytest.approx(ndcg(ranks, k).mean().item())


def test_items_behind_one_code_do_not_all_score() -> None:
    sizes = torch.tensor([[3, 1, 0]])
    targets = torch.tensor([[True, False, False]]), torch.tensor([[False, True, False]])
    hits = [expected_hit(*places_of_code(sizes, target), 2).item() for target in targets]
    assert hits == pytest.approx([2 / 3, 0])


def test_a_target_behind_no_listed_code_scores_nothing() -> None:
    before, sharing = places_of_code(torch.tensor([[3, 1]]), torch.zeros(1, 2, dtype=torch.bool))
    assert expected_hit(before, sharing, 10).item() == 0
    assert expected_ndcg(before, sharing, 10).item() == 0


def test_hits_of_all_items_add_up_to_the_length_of_the_list() -> None:
    sizes = torch.tensor([[2, 3, 4, 1]])
    each = [
        size * expected_hit(*places_of_code(sizes, torch.arange(4).eq(code).unsqueeze(0)), 6).item()
        for code, size in enumerate(sizes[0].tolist())
    ]
    assert sum(each) == pytest.approx(6)
