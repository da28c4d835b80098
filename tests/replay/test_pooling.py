from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recsys.errors import RequestError
from recsys.replay.importance import IPS
from recsys.replay.pooling import Pooled, WeightedPooling, pooled_propensity
from recsys.replay.rounds import Rounds
from tests.contracts.estimators import LOGGING, TARGET, World, loggers


def exact(numbers: list[float]) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def two_loggers() -> Rounds:
    """Weights 1, 3, 2, 1; earned 1, 3 by the first logger and 2, 0 by the second."""
    return Rounds(
        torch.tensor([0, 0, 1, 1]),
        exact([1, 1, 1, 0]),
        exact([0.6, 0.2, 0.3, 0.6]),
        exact([0.6, 0.6, 0.6, 0.6]),
        logger=torch.tensor([0, 0, 1, 1]),
        pooled=pooled_propensity(
            torch.tensor([[0.6, 0.4], [0.2, 0.4], [0.1, 0.3], [0.2, 0.6]]).double(), exact([0.5, 0.5])
        ),
    )


def variance(weights: IPS, world: World) -> float:
    earned = weights.terms(world.units)[:, 2]
    return float(world.probability @ earned.square() - (world.probability @ earned).square())


def test_by_hand() -> None:
    rounds = two_loggers()
    assert Pooled()(rounds).tolist() == pytest.approx([1.2, 2, 3, 1.5])
    pooling = WeightedPooling(2)
    totals = pooling.terms(rounds).sum(0)
    assert totals.tolist() == pytest.approx([2, 2, 4, 2, 10, 4])
    assert float(pooling.value(totals)) == pytest.approx((2 * 2 / 1 + 2 * 1 / 1) / (2 / 1 + 2 / 1))
    assert pooling.weight(rounds).tolist() == pytest.approx([1, 3, 2, 1])


def test_the_mixture_varies_less_than_each_loggers_own_propensity() -> None:
    for first in (TARGET, TARGET.flip(1), LOGGING):
        world = loggers(first)
        assert variance(IPS(Pooled()), world) <= variance(IPS(), world) + 1e-12
    hardly = loggers(torch.tensor([[0.49, 0.49, 0.02], [0.02, 0.49, 0.49]], dtype=torch.float64))
    assert variance(IPS(Pooled()), hardly) < 0.5 * variance(IPS(), hardly)


def test_a_logger_without_rounds_has_no_say_in_value_or_gradient() -> None:
    rounds = two_loggers()
    totals = WeightedPooling(3).terms(rounds).sum(0).requires_grad_()
    value = WeightedPooling(3).value(totals)
    assert float(value.detach()) == pytest.approx(1.5)
    [gradient] = torch.autograd.grad(value, totals)
    assert gradient.isfinite().all()


def test_rounds_of_a_logger_that_is_not_counted_are_refused() -> None:
    with pytest.raises(RequestError, match="logger 1 is in the log"):
        WeightedPooling(1).terms(two_loggers())
    with pytest.raises(RequestError, match="which logging policy"):
        WeightedPooling(2).terms(replace(two_loggers(), logger=None))
    with pytest.raises(RequestError, match="mixture of all logging policies"):
        IPS(Pooled()).terms(replace(two_loggers(), pooled=None))
