from __future__ import annotations

import torch

from recsys.replay.sums import Sums, by_unit


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
