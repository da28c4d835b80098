"""95 % intervals over 1,000 simulated logs contain the truth in 93 to 97 % of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy.stats import t as student
from torch import Tensor

from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.doubly_robust import DR, SNDR
from recsys.replay.actions.importance import IPS, SNIPS
from recsys.replay.estimator import Estimator
from recsys.replay.intervals.fixed_sample import closed_form
from recsys.replay.sums import Sums
from tests.contracts.estimators import CONTEXTS, LOGGING, MEANS, TARGET, WRONG

LOGS = 1000
ESTIMATORS = {"ips": IPS(), "snips": SNIPS(), "dr": DR(), "sndr": SNDR()}
every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)


def simulated(rounds: int, likes: Tensor, generator: torch.Generator) -> BanditBatch:
    """Rounds of all logs one after the other; `likes` is added to the mean reward of each."""
    context = CONTEXTS.multinomial(LOGS * rounds, True, generator=generator)
    action = LOGGING[context].multinomial(1, generator=generator).squeeze(1)
    noise = torch.rand(LOGS * rounds, generator=generator, dtype=torch.float64)
    reward = (noise < MEANS[context, action]).double() + likes
    return BanditBatch(
        action,
        reward,
        LOGGING[context, action],
        TARGET[context, action],
        target_all=TARGET[context],
        predicted_all=WRONG[context],
    )


def coverage(estimator: Estimator[Any], terms: Tensor) -> float:
    """Share of logs, `[logs, units, k]`, whose interval has the truth; all at once, as `closed_form` one by one."""
    truth, units = float(CONTEXTS @ (TARGET * MEANS).sum(1)), terms.shape[1]
    totals = terms.sum(1).requires_grad_()
    values = estimator.value(totals)
    [gradient] = torch.autograd.grad(values.sum(), totals)
    moved = torch.einsum("ltk,lk->lt", terms, gradient).square().sum(1) * units / (units - 1)
    values = values.detach()
    half = float(student.ppf(0.975, units - 1)) * moved.sqrt()
    for log in range(3):
        found = closed_form(estimator, Sums.of(terms[log]))
        assert found.low == pytest.approx(float(values[log] - half[log]))
        assert found.high == pytest.approx(float(values[log] + half[log]))
    return float(((values - truth).abs() <= half).double().mean())


@every_estimator
def test_of_rounds_that_stand_alone(estimator: Estimator[Any], generator: torch.Generator) -> None:
    rounds = simulated(400, torch.zeros(LOGS * 400), generator)
    assert 0.93 <= coverage(estimator, estimator.terms(rounds).view(LOGS, 400, -1)) <= 0.97


@every_estimator
def test_of_users_whose_rounds_are_alike(estimator: Estimator[Any], generator: torch.Generator) -> None:
    """60 users of 10 rounds, each with a liking of its own: by user they cover, by round they do not."""
    likes = torch.randn(LOGS * 60, generator=generator, dtype=torch.float64).repeat_interleave(10)
    terms = estimator.terms(simulated(600, likes, generator)).view(LOGS, 600, -1)
    assert 0.93 <= coverage(estimator, terms.unflatten(1, (60, 10)).sum(2)) <= 0.97
    assert coverage(estimator, terms) < 0.8
