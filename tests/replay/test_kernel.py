from __future__ import annotations

from typing import Any

import pytest
import torch

from recsys.replay.continuous_rounds import ContinuousRounds
from recsys.replay.estimator import Estimator
from recsys.replay.importance import IPS, SNIPS
from recsys.replay.kernel import Epanechnikov, Gaussian
from tests.contracts.estimators import prices


def fine(low: float, high: float, target: float, step: float = 1e-3) -> tuple[ContinuousRounds, torch.Tensor]:
    """Actions of an even density between two ends, all of them; rewards are the square of the action."""
    action = torch.arange(low + step / 2, high, step, dtype=torch.float64)
    density = torch.full_like(action, 1 / (high - low))
    return ContinuousRounds(action, action.square(), density, torch.full_like(action, target)), density * step


def limit(estimator: Estimator[Any], world: tuple[ContinuousRounds, torch.Tensor]) -> float:
    return float(estimator.value(world[1] @ estimator.terms(world[0])))


def test_heights_by_hand() -> None:
    rounds = ContinuousRounds(*torch.tensor([[0.0, 1.0, 2.0], [1.0] * 3, [0.5] * 3, [0.5] * 3]).double())
    assert Epanechnikov(1.0)(rounds).tolist() == pytest.approx([0.75 * 0.75 * 2, 0.75 * 0.75 * 2, 0])
    height = [0.3520653, 0.3520653, 0.1295176]
    assert Gaussian(1.0)(rounds).tolist() == pytest.approx([2 * one for one in height], abs=1e-6)


@pytest.mark.parametrize(("kernel", "spread"), [(Gaussian, 1.0), (Epanechnikov, 0.2)])
@pytest.mark.parametrize("bandwidth", [0.2, 0.4])
def test_the_bias_is_half_the_second_derivative_times_the_spread(
    kernel: type[Gaussian | Epanechnikov], spread: float, bandwidth: float
) -> None:
    """Of a square, 2 / 2 · h² · spread of the kernel, exactly."""
    world = fine(-4, 6, target=1.0)
    for estimator in (IPS(kernel(bandwidth)), SNIPS(kernel(bandwidth))):
        assert limit(estimator, world) - 1 == pytest.approx(bandwidth**2 * spread, abs=1e-5)


def test_the_bias_of_the_contracts_world() -> None:
    world = prices(0.2)
    terms = IPS(Gaussian(0.5)).terms(world.units)
    found = IPS(Gaussian(0.5)).value(world.probability @ terms)
    assert float(found) - world.truth == pytest.approx(0.2 * 0.5**2, abs=1e-9)


@pytest.mark.parametrize("kernel", [Gaussian, Epanechnikov])
def test_at_the_edge_half_of_it_is_lost_unless_normalised(kernel: type[Gaussian | Epanechnikov]) -> None:
    rounds, probability = fine(0, 4, target=0.0)
    world = ContinuousRounds(rounds.action, torch.ones_like(rounds.action), rounds.density, rounds.target), probability
    assert limit(IPS(kernel(0.3)), world) == pytest.approx(0.5, abs=1e-5)
    assert limit(SNIPS(kernel(0.3)), world) == pytest.approx(1.0)


def test_out_of_reach_an_epanechnikov_kernel_leaves_nothing() -> None:
    rounds, _ = fine(0, 1, target=3.0)
    totals = SNIPS(Epanechnikov(1.0)).terms(rounds).sum(0)
    assert float(IPS().value(totals)) == 0 and SNIPS().value(totals).isnan()
