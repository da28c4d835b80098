from __future__ import annotations

from math import inf

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import fdtri

from recsys.errors import ConfigurationError, RequestError
from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.cressie_read import CressieRead
from recsys.replay.actions.importance import IPS
from recsys.replay.intervals.fixed_sample import closed_form
from recsys.replay.sums import Sums, by_unit

LOWEST, HIGHEST = 0.25, 4.0


def log(rows: int, generator: torch.Generator, level: float = 1.0) -> BanditBatch:
    """Weights of ¼ to 4; `level` above 1 makes them average more."""
    weight = (
        (torch.rand(rows, generator=generator, dtype=torch.float64) * 2 - 1).mul(1.38).exp().mul(level).clamp(0.25, 4)
    )
    reward = (torch.rand(rows, generator=generator, dtype=torch.float64) < 0.3 + 0.1 * weight).double()
    return BanditBatch(torch.zeros(rows, dtype=torch.long), reward, torch.full_like(weight, 0.25), weight / 4)


def solved(
    rounds: BanditBatch, made_up: float, reward: float, budget: float | None = None, sign: int = 1
) -> tuple[float, float]:
    """`Σ q w r` and `Σ q w` of the log's rounds by a general solver: nearest `q`, or lowest value within the budget."""
    weight = np.append(rounds.weight.numpy(), made_up)
    earned = np.append((rounds.weight * rounds.reward).numpy(), made_up * reward)
    size = len(weight)
    fixed = [
        {"type": "eq", "fun": lambda q: q.sum() - 1, "jac": lambda q: np.ones(size)},
        {"type": "eq", "fun": lambda q: q @ weight - 1, "jac": lambda q: weight},
    ]
    even = np.full(size, 1 / size)

    def distance(q: np.ndarray) -> float:
        return size * ((q - even) ** 2).sum()

    def slope(q: np.ndarray) -> np.ndarray:
        return 2 * size * (q - even)

    options = {"ftol": 1e-14, "maxiter": 1000}
    found = minimize(distance, even, jac=slope, constraints=fixed, method="SLSQP", options=options)
    if budget is None:
        return float(found.x[:-1] @ earned[:-1]), float(found.x[:-1] @ weight[:-1])
    near = {"type": "ineq", "fun": lambda q: budget - distance(q), "jac": lambda q: -slope(q)}
    ends = minimize(
        lambda q: sign * (q @ earned),
        found.x,
        jac=lambda q: sign * earned,
        constraints=[*fixed, near],
        method="SLSQP",
        options=options,
    )
    return float(ends.x @ earned), distance(found.x)


@pytest.mark.parametrize(("level", "made_up"), [(0.5, HIGHEST), (1.5, LOWEST)])
def test_agrees_with_a_general_solver(level: float, made_up: float, generator: torch.Generator) -> None:
    rounds = log(12, generator, level)
    assert (float(rounds.weight.mean()) < 1) == (made_up == HIGHEST)
    known, carried = solved(rounds, made_up, 0.0)
    estimator = CressieRead(lowest=LOWEST, highest=HIGHEST)
    value = float(estimator.value(estimator.terms(rounds).sum(0)))
    assert value == pytest.approx(known + (1 - carried) * 0.5, abs=1e-6)


@pytest.mark.parametrize(("level", "made_up"), [(0.5, HIGHEST), (1.5, LOWEST)])
def test_its_interval_agrees_with_a_general_solver(level: float, made_up: float, generator: torch.Generator) -> None:
    rounds = log(30, generator, level)
    estimator = CressieRead(lowest=LOWEST, highest=HIGHEST)
    found = estimator.interval(Sums.of(estimator.terms(rounds)))
    least = solved(rounds, made_up, 0.0, budget=1e9)[1]
    budget = least + float(fdtri(1, 30, 0.95)) / 31
    for end, reward, sign in ((found.low, 0.0, 1), (found.high, 1.0, -1)):
        reached = [solved(rounds, one, reward, budget, sign) for one in (LOWEST, HIGHEST)]
        best = min(sign * value for value, distance in reached if distance <= budget + 1e-9)
        assert end == pytest.approx(min(max(sign * best, 0.0), 1.0), abs=1e-5)


def test_an_unbounded_weight_is_the_limit_of_large_ones(generator: torch.Generator) -> None:
    for level in (0.5, 1.5):
        rounds = log(40, generator, level)
        large, infinite = CressieRead(highest=1e7), CressieRead(highest=inf)
        sums = Sums.of(infinite.terms(rounds))
        torch.testing.assert_close(large.value(sums.totals), infinite.value(sums.totals), rtol=1e-5, atol=1e-5)
        expected = infinite.interval(sums).to_dict()
        assert large.interval(sums).to_dict() == pytest.approx(expected, abs=1e-4)


def test_its_interval_covers_and_stays_in_the_range_of_rewards(generator: torch.Generator) -> None:
    """1,000 logs of 200 rounds: two actions, p = (.9, .1), π = (.5, .5), means .2 and .6."""
    action = (torch.rand(1000, 200, generator=generator) < 0.1).long()
    reward = (torch.rand(1000, 200, generator=generator) < torch.tensor([0.2, 0.6])[action]).double()
    propensity = torch.tensor([0.9, 0.1], dtype=torch.float64)[action]
    target = torch.full((200_000,), 0.5, dtype=torch.float64)
    rounds = BanditBatch(action.flatten(), reward.flatten(), propensity.flatten(), target)
    estimator = CressieRead(lowest=0.5 / 0.9, highest=5.0)
    covered, narrower = [], []
    for own, plain in zip(*(one.terms(rounds).view(1000, 200, -1) for one in (estimator, IPS())), strict=True):
        found = estimator.interval(Sums.of(own))
        assert found.low is not None and found.high is not None
        assert 0 <= found.low <= found.value <= found.high <= 1
        covered.append(found.low <= 0.4 <= found.high)
        if len(narrower) < 50:
            other = closed_form(IPS(), Sums.of(plain))
            assert other.low is not None and other.high is not None
            narrower.append((found.high - found.low) / (other.high - other.low))
    assert 0.93 <= np.mean(covered) <= 0.985
    assert np.mean(narrower) < 0.9


def test_one_round_has_no_interval_and_users_are_sent_elsewhere(generator: torch.Generator) -> None:
    rounds, estimator = log(6, generator), CressieRead()
    terms = estimator.terms(rounds)
    assert estimator.interval(Sums.of(terms[:1])).low is None
    with pytest.raises(RequestError, match=r"2 units have 6 rounds.*closed_form"):
        estimator.interval(Sums.of(by_unit(terms, torch.tensor([0, 0, 0, 1, 1, 1]))))


def test_ranges_that_cannot_be_are_refused() -> None:
    for wrong, said in (
        ({"lowest": 1.0}, r"lowest=1.0: expected in \[0, 1\)"),
        ({"lowest": -0.1}, r"lowest=-0.1: expected in \[0, 1\)"),
        ({"highest": 1.0}, "highest=1.0: expected above 1"),
        ({"rewards": (0.0, float("nan"))}, r"rewards\[1\]=nan: expected a finite number"),
        ({"rewards": (0.0,)}, "lowest and the highest possible"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            CressieRead(**wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigurationError, match="rewards"):
        CressieRead(rewards=(1.0, 1.0))
