from __future__ import annotations

import pytest
import torch

from recsys.errors import RequestError
from recsys.replay import sums as unit_totals
from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.doubly_robust import DR
from recsys.replay.actions.importance import IPS
from recsys.replay.sums import SampleMean, Sums, UnitTotals, by_unit


def rounds(count: int) -> BanditBatch:
    generator = torch.Generator().manual_seed(1)
    spread = torch.rand(count, 3, generator=generator).double().softmax(-1)
    action = torch.randint(3, (count,), generator=generator)
    return BanditBatch(
        action,
        torch.rand(count, generator=generator).double(),
        torch.full((count,), 1 / 3).double(),
        spread.gather(1, action.unsqueeze(1)).squeeze(1),
        target_all=spread,
        predicted_all=torch.rand(count, 3, generator=generator).double(),
    )


def test_combinations_of_sums_are_sums_of_combinations() -> None:
    log = rounds(50)
    weighed = Sums.of(IPS().terms(log))
    for coefficients, numbers in (((0, 0, 1), log.weight * log.reward), ((0, 2, -1), log.weight * (2 - log.reward))):
        mean = SampleMean.of(weighed, coefficients)
        assert mean.value == pytest.approx(float(numbers.mean()))
        assert mean.variance == pytest.approx(float(numbers.var()))
    modelled = Sums.of(DR().terms(log))
    assert SampleMean.of(modelled, (0, 1, 0, 1)).value == pytest.approx(float(DR().value(modelled.totals)))


def test_units_of_several_rounds_and_empty_logs_are_refused() -> None:
    terms = IPS().terms(rounds(4))
    with pytest.raises(RequestError, match="4 rounds of 3 users"):
        SampleMean.of(Sums.of(by_unit(terms, torch.tensor([0, 1, 2, 2]))), (0, 0, 1))
    with pytest.raises(RequestError, match="has none"):
        SampleMean.of(Sums.of(terms[:0]), (0, 0, 1))


def test_one_number_has_no_variance() -> None:
    assert SampleMean(1, 3.0, 9.0).variance == 0


def test_parts_merge_to_the_whole(generator: torch.Generator) -> None:
    terms = torch.randn(50, 3, generator=generator, dtype=torch.float64)
    whole = Sums.of(terms)
    merged = sum((Sums.of(part) for part in terms.split([10, 0, 33, 7])[1:]), Sums.of(terms[:10]))
    assert merged.units == whole.units == 50
    torch.testing.assert_close(merged.totals, whole.totals)
    torch.testing.assert_close(merged.products, terms.T @ terms)


def test_single_precision_is_summed_in_double() -> None:
    sums = Sums.of(torch.full((1000, 1), 0.1))
    assert sums.totals.dtype == sums.products.dtype == torch.float64
    assert abs(float(sums.totals) - 1000 * float(torch.tensor(0.1).double())) < 1e-9


def test_units_whose_rows_come_in_any_batch_are_summed(generator: torch.Generator) -> None:
    terms = torch.randn(200, 2, generator=generator, dtype=torch.float64)
    unit = torch.randint(0, 30, (200,), generator=generator)
    at_once = by_unit(terms, unit)
    totals = None
    for rows in torch.arange(200).split(17):
        totals = by_unit(terms[rows], unit[rows], totals)
    assert totals is not None
    torch.testing.assert_close(totals[: len(at_once)], at_once)
    assert not totals[len(at_once) :].any()
    torch.testing.assert_close(at_once[5], terms[unit == 5].sum(0))


def test_no_rows_change_nothing() -> None:
    before = torch.ones(3, 2, dtype=torch.float64)
    nothing = torch.zeros(0, 2, dtype=torch.float64), torch.zeros(0, dtype=torch.long)
    torch.testing.assert_close(by_unit(*nothing, before.clone()), before)
    assert by_unit(*nothing).shape == (0, 2)


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
