"""The laws of every estimator: right where its assumption holds, wrong where it fails, and made of sums that merge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from recsys.errors import RequestError
from recsys.replay.estimator import Estimator, Terms
from recsys.replay.intervals.fixed_sample import closed_form
from recsys.replay.sums import Sums
from tests.contracts import episode_estimators, slate_estimators
from tests.contracts.estimators import CASES, Case, World, select

LONG = 1e9
REGISTERED = (slate_estimators, episode_estimators)
"""Files that register further cases when they are imported."""


@pytest.fixture(params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]()


def of_long_logs(estimator: Estimator[Any], world: World) -> float:
    """What the estimate tends to: the sums of a log that holds every unit as often as its probability says."""
    return float(estimator.value(LONG * world.probability @ estimator.terms(world.units)))


def over_logs_of_two(estimator: Estimator[Any], world: World) -> Tensor:
    """`[m, m]`, the estimate from each log of two units."""
    terms = estimator.terms(world.units)
    return estimator.value(terms.unsqueeze(0) + terms.unsqueeze(1))


def drawn(case: Case, rows: int = 64) -> Any:
    """A log."""
    picked = torch.multinomial(case.world.probability, rows, True, generator=torch.Generator().manual_seed(0))
    return select(case.world.units, picked)


def test_it_is_an_estimator_whose_terms_can_be_compared(case: Case) -> None:
    assert isinstance(case.estimator, Estimator) and isinstance(case.estimator.terms, Terms)
    assert case.estimator.terms == case.estimator.terms
    assert hash(case.estimator.terms) == hash(case.estimator.terms)


def test_the_world_lists_every_unit(case: Case) -> None:
    for world in (case.world, case.broken):
        assert float(world.probability.sum()) == pytest.approx(1) and (world.probability > 0).all()
        assert len(world.probability) == len(world.units)


def test_long_logs_tell_the_truth(case: Case) -> None:
    assert of_long_logs(case.estimator, case.world) == pytest.approx(case.world.truth, abs=1e-8)


def test_the_mean_over_all_logs_of_two_units_is_the_truth_for_the_unbiased_alone(case: Case) -> None:
    """Some consistent ones have no value where two units do not match the policy at all; their mean is no number."""
    values = over_logs_of_two(case.estimator, case.world)
    mean = float(case.world.probability @ values @ case.world.probability)
    assert (abs(mean - case.world.truth) < 1e-8) == case.unbiased


def test_without_the_assumption_long_logs_do_not_tell_the_truth(case: Case) -> None:
    assert abs(of_long_logs(case.estimator, case.broken) - case.broken.truth) > 0.01


def test_sums_of_parts_merge_to_those_of_the_whole(case: Case) -> None:
    log = drawn(case)
    whole = Sums.of(case.estimator.terms(log))
    parts = [Sums.of(case.estimator.terms(select(log, rows))) for rows in torch.arange(64).split([1, 20, 43])]
    merged = parts[0] + parts[1] + parts[2]
    assert merged.units == whole.units == 64
    torch.testing.assert_close(merged.totals, whole.totals)
    torch.testing.assert_close(merged.products, whole.products)
    one, other = closed_form(case.estimator, merged), closed_form(case.estimator, whole)
    assert one.to_dict() == pytest.approx(other.to_dict())


def test_rows_in_any_order_give_equal_sums(case: Case) -> None:
    log = drawn(case)
    shuffled = select(log, torch.randperm(64, generator=torch.Generator().manual_seed(1)))
    one, other = Sums.of(case.estimator.terms(log)), Sums.of(case.estimator.terms(shuffled))
    torch.testing.assert_close(one.totals, other.totals)
    torch.testing.assert_close(one.products, other.products)


def test_sums_multiplied_alike_give_the_same_value(case: Case) -> None:
    totals = case.estimator.terms(drawn(case)).sum(0)
    tolerance = 1e-12 if case.homogeneous else 10 / 64
    for times in (0.1, 7.0):
        torch.testing.assert_close(
            case.estimator.value(times * totals), case.estimator.value(totals), rtol=tolerance, atol=tolerance
        )


def test_the_value_has_a_finite_gradient(case: Case) -> None:
    totals = case.estimator.terms(drawn(case)).sum(0).requires_grad_()
    [gradient] = torch.autograd.grad(case.estimator.value(totals), totals)
    assert gradient.isfinite().all() and gradient.abs().sum() > 0


def test_several_logs_at_once_are_each_alone(case: Case) -> None:
    totals = case.estimator.terms(drawn(case)).view(2, 32, -1).sum(1)
    together = case.estimator.value(totals.unsqueeze(0))
    assert together.shape == (1, 2)
    torch.testing.assert_close(together[0], torch.stack([case.estimator.value(one) for one in totals]))


def test_every_row_has_a_finite_weight(case: Case) -> None:
    log = drawn(case)
    weight = case.estimator.weight(log)
    assert weight.shape == (64,) and weight.isfinite().all()
    assert case.estimator.terms(log).isfinite().all()


def test_what_it_needs_and_has_not_is_refused(case: Case) -> None:
    for name in case.needs:
        with pytest.raises(RequestError, match="needs"):
            case.estimator.terms(replace(case.world.units, **{name: None}))
