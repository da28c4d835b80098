from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch

from recsys.errors import RequestError
from recsys.replay import sums as unit_totals
from recsys.replay.accumulate import Accumulation, EstimatorSums, accumulate
from recsys.replay.actions.doubly_robust import DM, DR, DoublyRobustTerms
from recsys.replay.actions.importance import IPS, SNIPS
from recsys.replay.actions.weights import Clip
from recsys.replay.diagnostics.overlap import WeightSummary
from recsys.replay.intervals.bootstrap import Bootstrap
from recsys.replay.sums import Sums, by_unit
from tests.replay.logs import part, rounds

ESTIMATORS = {"ips": IPS(), "snips": SNIPS(), "clipped": IPS(Clip(2.0)), "dm": DM(), "dr": DR()}
DRAW = Bootstrap(20)
N = 2000


def assert_equal(one: Accumulation, other: Accumulation):
    assert one.rows == other.rows
    for name in ESTIMATORS:
        mine, yours = one[name], other[name]
        assert mine.sums.units == yours.sums.units
        assert mine.weights.largest == yours.weights.largest
        for own, their in zip(numbers(mine), numbers(yours), strict=True):
            torch.testing.assert_close(own, their, rtol=1e-12, atol=1e-9)


def numbers(summed: EstimatorSums) -> list[torch.Tensor]:
    replicates = [] if summed.replicates is None else [summed.replicates]
    return [summed.sums.totals, summed.sums.products, summed.weights.sizes, *replicates]


def shard(users: int | None, start: int, stop: int) -> Accumulation:
    """Part of the log, in batches, as a process of its own would sum it."""
    log = rounds(N, users=users)
    batches = (part(log, slice(at, min(at + 300, stop))) for at in range(start, stop, 300))
    return accumulate(ESTIMATORS, batches, bootstrap=DRAW, first=start)


@pytest.mark.parametrize("draw", [None, DRAW])
@pytest.mark.parametrize("users", [None, 90])
def test_what_is_summed(users, draw):
    log = rounds(N, users=users)
    found = accumulate(ESTIMATORS, [log], bootstrap=draw)
    unit = torch.arange(N) if users is None else log.user
    for name, estimator in ESTIMATORS.items():
        terms = estimator.terms(log)
        sums = Sums.of(by_unit(terms, unit))
        summary = WeightSummary.of(estimator.weight(log))
        replicates = None if draw is None else draw.totals(terms, unit)
        for own, expected in zip(numbers(found[name]), numbers(EstimatorSums(sums, summary, replicates)), strict=True):
            torch.testing.assert_close(own, expected, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("users", [None, 90])
def test_batches_shards_and_their_order_change_nothing(users):
    whole = accumulate(ESTIMATORS, [rounds(N, users=users)], bootstrap=DRAW)
    parts = [shard(users, *ends) for ends in ((1500, N), (0, 700), (700, 1500))]
    assert_equal(parts[0] + parts[1] + parts[2], whole)
    assert_equal(parts[0] + (parts[1] + parts[2]), whole)


def test_rows_of_users_may_come_in_any_order():
    log = rounds(N, users=90)
    order = torch.randperm(N, generator=torch.Generator().manual_seed(0))
    batches = [part(log, rows) for rows in order.split(300)]
    assert_equal(accumulate(ESTIMATORS, batches, bootstrap=DRAW), accumulate(ESTIMATORS, [log], bootstrap=DRAW))


@pytest.mark.parametrize("users", [None, 90])
def test_replicates_are_summed_of_those_that_need_them(users):
    log = rounds(N, users=users)
    every = accumulate(ESTIMATORS, [log], bootstrap=DRAW)
    found = accumulate(ESTIMATORS, [log], bootstrap=DRAW, without_replicates=["ips", "clipped", "dr"])
    both = found + accumulate(ESTIMATORS, [log], bootstrap=DRAW, without_replicates=["ips", "clipped", "dr"], first=N)
    assert both["clipped"].replicates is both["dr"].replicates is None
    for name in ("ips", "snips", "dm"):  # the first has the terms of the second
        torch.testing.assert_close(found[name].replicates, every[name].replicates, rtol=1e-12, atol=1e-9)
    for name in ESTIMATORS:
        torch.testing.assert_close(found[name].sums.products, every[name].sums.products, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("users", [None, 90])
def test_where_none_needs_replicates_there_are_none(users):
    found = accumulate(ESTIMATORS, [rounds(N, users=users)], bootstrap=DRAW, without_replicates=ESTIMATORS)
    assert all(found[name].replicates is None for name in ESTIMATORS)


def test_adding_parts_leaves_them_as_they_are():
    parts = shard(90, 0, 1000), shard(90, 1000, N)
    parts[0] + parts[1]
    assert_equal(parts[0], shard(90, 0, 1000))


@pytest.mark.parametrize("users", [None, 90])
def test_two_processes_sum_what_one_does(users):
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
        first, second = (pool.submit(shard, users, *ends) for ends in ((0, 900), (900, N)))
        found = second.result() + first.result()
    assert_equal(found, accumulate(ESTIMATORS, [rounds(N, users=users)], bootstrap=DRAW))


def test_users_without_rows_are_no_units():
    log = rounds(100, users=5)
    log.user[:] = 2 * log.user + 3
    found = accumulate(ESTIMATORS, [part(log, slice(0, 50)), part(log, slice(50, None))])
    assert found["dr"].sums.units == 5


def test_more_users_than_groups_are_summed_by_group(monkeypatch):
    monkeypatch.setattr(unit_totals, "GROUPS", 64)
    log = rounds(N, users=1000)
    found, unit = accumulate(ESTIMATORS, [part(log, rows) for rows in torch.arange(N).split(300)]), log.user % 64
    for name, estimator in ESTIMATORS.items():
        expected = Sums.of(by_unit(estimator.terms(log).double(), unit))
        assert found[name].sums.units == len(log.user.unique()) > 64
        torch.testing.assert_close(found[name].sums.products, expected.products, rtol=1e-12, atol=1e-9)
    assert len(found.totals.totals) == 64


def test_terms_that_are_equal_are_computed_once_a_batch(monkeypatch):
    asked = []
    monkeypatch.setattr(
        DoublyRobustTerms, "__call__", lambda self, batch: asked.append(self) or torch.ones(len(batch), 4)
    )
    log = rounds(10, users=2)
    accumulate({"one": DR(), "two": DR(), "three": DM()}, [log, log])
    assert asked == [DR().terms, DM().terms] * 2


def test_a_row_that_is_weighed_by_nothing_counts_as_one():
    assert accumulate({"dm": DM()}, [rounds(10)])["dm"].weights.effective == 10


def test_users_in_some_parts_only_are_refused():
    with_users, without = rounds(10, users=2), rounds(10)
    for batches in ([with_users, without], [without, with_users]):
        with pytest.raises(RequestError, match="give users to all of them or to none"):
            accumulate(ESTIMATORS, batches)
    with pytest.raises(RequestError, match="give users to all of them or to none"):
        accumulate(ESTIMATORS, [with_users]) + accumulate(ESTIMATORS, [without])


def test_parts_of_other_estimators_or_another_bootstrap_are_refused():
    one = accumulate({"ips": IPS()}, [rounds(10)])
    for other in (accumulate({"ips": SNIPS()}, [rounds(10)]), accumulate({"ips": IPS()}, [rounds(10)], bootstrap=DRAW)):
        with pytest.raises(RequestError, match="only of the same estimators, in order, and bootstrap"):
            one + other
    both = {"ips": IPS(), "dm": DM()}
    with pytest.raises(RequestError, match="in order"):
        accumulate(both, [rounds(10)]) + accumulate(dict(reversed(both.items())), [rounds(10)])


def test_a_log_without_rows():
    for batches in ([], [part(rounds(10), slice(0))]):
        with pytest.raises(RequestError, match="the log has no row"):
            accumulate(ESTIMATORS, batches)["ips"]
