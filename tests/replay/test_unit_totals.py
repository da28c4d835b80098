from __future__ import annotations

import torch

from recsys.replay.sums import Sums
from recsys.replay.unit_totals import UnitTotals


def test_new_units_grow_the_table_and_none_is_counted_that_has_no_row():
    first = UnitTotals.of(torch.tensor([[1.0, 2.0]]), torch.tensor([3]))
    grown = UnitTotals.of(torch.tensor([[1.0, 3.0], [1.0, 5.0]]), torch.tensor([4, 3]), first)
    expected = Sums.of(torch.tensor([[2.0, 7.0], [1.0, 3.0]]))
    assert len(grown.rows) > 5
    assert (grown.sums.units, grown.sums.totals.tolist()) == (2, expected.totals.tolist())
    assert torch.equal(grown.sums.products, expected.products)


def test_parts_that_share_units_are_added():
    one = UnitTotals.of(torch.tensor([[1.0], [2.0]]), torch.tensor([0, 6]))
    other = UnitTotals.of(torch.tensor([[4.0], [8.0]]), torch.tensor([0, 1]))
    for both in (one + other, other + one):
        assert both.sums.units == 3
        assert both.sums.products.item() == 5**2 + 8**2 + 2**2
