from __future__ import annotations

import pytest
import torch

from recsys.rewards.legality import LegalityReward
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates


def earned(items: list[list[list[int]]], excluded: list[list[int]], candidates: list[list[int]] | None) -> list:
    slates = torch.tensor(items)
    rows = len(slates)
    allowed = None if candidates is None else Jagged.from_rows(candidates)
    context = Context(torch.arange(rows), Jagged.empty(rows), Jagged.from_rows(excluded), allowed)
    example = Example(context, Slates(slates[:, :1], torch.zeros(slates[:, :1].shape)))
    return LegalityReward()(example, Slates(slates, torch.zeros(slates.shape))).tolist()


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [(None, [[1, 0, 0, 0], [1, 1, 0, 1]]), ([[0, 1, 2, 9], [4]], [[1, 0, 0, 0], [0, 0, 0, 0]])],
)
def test_an_item_that_is_not_allowed_or_comes_twice_or_is_missing_costs_the_slate(
    candidates: list[list[int]] | None, expected: list[list[int]]
) -> None:
    items = [[[0, 1], [1, 3], [2, 2], [-1, -1]], [[4, 7], [7, 4], [4, -1], [5, 6]]]
    assert earned(items, [[3], []], candidates) == expected
