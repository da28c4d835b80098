from __future__ import annotations

import pytest
import torch

from recsys.metrics.diversity import coverage
from recsys.metrics.evaluation import Evaluation
from recsys.metrics.ranking import rank_in_list

WRONG = {
    "an item twice": ([[4, 2, 6], [1, 4, 4]], [2, 4], r"request 1 holds an item twice, .* items \[1, 4, 4\], target 4"),
    "below padding": ([[4, -2, 6], [1, 4, 3]], [2, 4], "request 0 holds an index below -1"),
    "no target": ([[4, 2, -1], [1, 4, 3]], [-1, 4], "request 0 has a target that is no item"),
}


@pytest.mark.parametrize(("items", "target", "message"), WRONG.values(), ids=WRONG)
def test_lists_that_have_no_rank_are_refused(items: list, target: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Evaluation(torch.arange(2), torch.tensor(target), torch.tensor(items), (1, 3))


def test_padding_may_repeat_and_hits_nothing() -> None:
    found = Evaluation(torch.arange(1), torch.tensor([3]), torch.tensor([[5, -1, -1]]), (3,))
    assert found.rank.tolist() == [0]
    assert rank_in_list(torch.tensor([[5, -1], [7, 2], [5, 6]]), torch.tensor([-1, 7, 6])).tolist() == [0, 1, 2]


def test_an_item_beyond_the_catalogue_covers_nothing() -> None:
    with pytest.raises(ValueError, match="list 0 of 1 holds item 9, expected items from 0 to 8"):
        coverage(torch.tensor([[0, 9]]), 9)
