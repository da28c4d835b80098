from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from recsys.errors import ConfigurationError
from recsys.replay.actions.doubly_robust import DR, SNDR
from recsys.replay.actions.importance import IPS, SNIPS
from recsys.replay.intervals import bootstrap as module
from recsys.replay.intervals.bootstrap import Bootstrap, percentile
from recsys.replay.intervals.fixed_sample import closed_form
from recsys.replay.numba_kernels import GROUP, THRESHOLDS
from recsys.replay.sums import Sums, by_unit
from tests.replay.logs import rounds

REPLICATES = 2000


def test_counts_are_of_a_poisson_with_mean_1():
    assert sum(THRESHOLDS) == 2**16
    tails = [1 - sum(math.exp(-1) / math.factorial(j) for j in range(k)) for k in range(1, 9)]
    assert np.allclose(np.array(THRESHOLDS) / 2**16, tails, rtol=0, atol=2**-16)
    second = sum((2 * k + 1) * threshold for k, threshold in enumerate(THRESHOLDS)) / 2**16
    assert second - 1 == pytest.approx(1, abs=1e-4)


def counts(units: int, replicates: int, seed: int = 0) -> torch.Tensor:
    """`[R, units]`, how often each counts."""
    return Bootstrap(replicates, seed).totals(torch.eye(units, dtype=torch.float64), torch.arange(units))


def test_counts_drawn_have_their_frequencies_and_do_not_depend_on_each_other():
    found = counts(1000, 1000)
    share = torch.bincount(found.flatten().long(), minlength=9)[:5] / found.numel()
    expected = torch.tensor([math.exp(-1) / math.factorial(k) for k in range(5)])
    assert (share - expected).abs().max() < 5 * (0.25 / found.numel()) ** 0.5
    for table in (found, found.T):
        correlation = torch.corrcoef(table).fill_diagonal_(0)
        assert correlation.abs().max() < 6 / 1000**0.5
        assert correlation.square().mean() == pytest.approx(1 / 1000, rel=0.02)


def test_seeds_give_other_counts_and_more_replicates_keep_the_first():
    first = counts(50, 70)
    assert torch.equal(counts(50, 2 * GROUP + 1)[:70], first)
    assert (counts(50, 70, seed=1) != first).float().mean() > 0.5


def test_a_unit_counts_alike_wherever_its_rows_come():
    log = rounds(3000, users=200)
    terms, draw = DR().terms(log), Bootstrap(100)
    whole = draw.totals(terms, log.user)
    order = torch.randperm(3000, generator=torch.Generator().manual_seed(0))
    parts = [draw.totals(terms[rows], log.user[rows]) for rows in order.split(700)]
    torch.testing.assert_close(sum(parts), whole, rtol=1e-12, atol=1e-9)
    torch.testing.assert_close(draw.totals(by_unit(terms, log.user), torch.arange(200)), whole, rtol=1e-12, atol=1e-9)


def test_the_number_of_threads_changes_nothing(monkeypatch):
    monkeypatch.setattr(module, "ROWS", 300)
    terms, threads = IPS().terms(rounds(1000)), torch.get_num_threads()
    found = []
    for count in (1, 3):
        torch.set_num_threads(count)
        found.append(Bootstrap(100).totals(terms, torch.arange(1000)))
    torch.set_num_threads(threads)
    assert torch.equal(*found)


@pytest.mark.parametrize("users", [None, 1000])
@pytest.mark.parametrize("estimator", [IPS(), SNIPS(), DR(), SNDR()])
def test_the_spread_is_that_of_the_closed_form(estimator, users):
    log = rounds(20_000, users=users)
    terms = estimator.terms(log)
    unit = torch.arange(20_000) if users is None else log.user
    sums = Sums.of(terms if users is None else by_unit(terms, log.user))
    replicates = Bootstrap(REPLICATES).totals(terms, unit)

    exact = closed_form(estimator, sums, confidence=0.6827)
    spread = (exact.high - exact.low) / 2
    values = estimator.value(replicates)
    assert float(values.std()) == pytest.approx(spread, rel=4 / (2 * REPLICATES) ** 0.5)
    assert float(values.mean()) == pytest.approx(exact.value, abs=4 * spread / REPLICATES**0.5)

    exact, drawn = closed_form(estimator, sums), percentile(estimator, sums, replicates)
    assert drawn.value == exact.value
    assert drawn.low == pytest.approx(exact.low, abs=0.3 * spread)
    assert drawn.high == pytest.approx(exact.high, abs=0.3 * spread)


def test_totals_have_no_bias():
    terms = IPS().terms(rounds(20_000))
    sums, drawn = Sums.of(terms), Bootstrap(REPLICATES).totals(terms, torch.arange(20_000)).mean(0)
    assert ((drawn - sums.totals).abs() < 4 * (sums.products.diagonal() / REPLICATES).sqrt()).all()


def test_what_a_ratio_is_divided_by_is_resampled():
    log = rounds(5000)
    rewarded = torch.ones_like(log.reward)
    terms = torch.stack([rewarded, log.weight, log.weight * rewarded], 1)
    interval = percentile(SNIPS(), Sums.of(terms), Bootstrap(200).totals(terms, torch.arange(5000)))
    assert (interval.low, interval.value, interval.high) == pytest.approx((1, 1, 1))


def test_no_interval_of_one_unit_and_none_of_no_value():
    terms = torch.tensor([[1.0, 2.0, 2.0]])
    assert percentile(SNIPS(), Sums.of(terms), Bootstrap(10).totals(terms, torch.tensor([0]))).low is None
    weightless = torch.tensor([[1.0, 0.0, 0.0]]).expand(2, 3)
    assert percentile(SNIPS(), Sums.of(weightless), Bootstrap(10).totals(weightless, torch.arange(2))).high is None


def test_replicates_without_a_value_are_passed_over():
    terms = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    replicates = Bootstrap(100).totals(terms, torch.arange(2))
    assert SNIPS().value(replicates).isnan().any()
    interval = percentile(SNIPS(), Sums.of(terms), replicates)
    assert (interval.low, interval.high) == (1, 1)


@pytest.mark.parametrize(
    ("options", "named"),
    [({"replicates": 0}, "replicates=0: expected at least 1"), ({"seed": -1}, "seed=-1: expected a seed")],
)
def test_numbers_below_their_least_are_refused(options, named):
    with pytest.raises(ConfigurationError, match=named):
        Bootstrap(**options)
