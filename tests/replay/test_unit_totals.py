from __future__ import annotations

import pytest
import torch

from recsys.replay import unit_totals
from recsys.replay.sums import Sums
from recsys.replay.unit_totals import UnitTotals


def test_new_units_grow_the_table_and_none_is_counted_that_has_no_row():
    first = UnitTotals.of(torch.tensor([[1.0, 2.0]]), torch.tensor([3]))
    grown = UnitTotals.of(torch.tensor([[1.0, 3.0], [1.0, 5.0]]), torch.tensor([4, 3]), first)
    expected = Sums.of(torch.tensor([[2.0, 7.0], [1.0, 3.0]]))
    assert len(grown.seen) > 5
    assert (grown.sums.units, grown.sums.totals.tolist()) == (2, expected.totals.tolist())
    assert torch.equal(grown.sums.products, expected.products)


def test_parts_that_share_units_are_added():
    one = UnitTotals.of(torch.tensor([[1.0], [2.0]]), torch.tensor([0, 6]))
    other = UnitTotals.of(torch.tensor([[4.0], [8.0]]), torch.tensor([0, 1]))
    for both in (one + other, other + one):
        assert both.sums.units == 3
        assert both.sums.products.item() == 5**2 + 8**2 + 2**2


def test_users_beyond_share_totals_with_those_before(monkeypatch):
    monkeypatch.setattr(unit_totals, "GROUPS", 4)
    unit = torch.tensor([0, 4, 9, 9])
    found = UnitTotals.of(torch.tensor([[1.0], [2.0], [3.0], [4.0]]), unit)
    assert found.totals.squeeze(1).tolist() == [3, 7]
    assert found.sums.units == 3
    assert (found + found).sums.products.item() == 4 * (3**2 + 7**2)


def test_variances_from_groups_are_those_from_users(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    terms = torch.randn(200_000, 1, generator=generator, dtype=torch.float64)
    unit = torch.arange(200_000)
    exact = UnitTotals.of(terms, unit).sums.products.item()
    monkeypatch.setattr(unit_totals, "GROUPS", 20_000)
    grouped = UnitTotals.of(terms, unit).sums.products.item()
    assert grouped / exact == pytest.approx(1, abs=4 * (2 / 20_000) ** 0.5)
