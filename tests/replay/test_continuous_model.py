from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sklearn.linear_model import LinearRegression

from recsys.errors import RequestError
from recsys.replay.continuous_model import cross_fitted_at
from recsys.replay.continuous_rounds import ContinuousRounds
from recsys.replay.doubly_robust import DM, DR
from recsys.replay.kernel import Gaussian


def log(generator: torch.Generator) -> tuple[ContinuousRounds, torch.Tensor]:
    context, action, target = torch.randn(3, 60, generator=generator, dtype=torch.float64)
    user = torch.randint(20, (60,), generator=generator)
    rounds = ContinuousRounds(action, 1 + context - 2 * action, torch.full_like(action, 0.3), target, user=user)
    return rounds, context.unsqueeze(1)


def test_a_right_regression_is_exact_and_so_are_estimates_of_it(generator: torch.Generator) -> None:
    rounds, context = log(generator)
    known = replace(rounds, predicted_at=cross_fitted_at(LinearRegression, context, rounds))
    torch.testing.assert_close(known.predicted, rounds.reward)
    truth = 1 + context.squeeze(1) - 2 * rounds.target
    torch.testing.assert_close(known.expected, truth)
    for estimator in (DM(), DR(Gaussian(0.3))):
        torch.testing.assert_close(estimator.value(estimator.terms(known).sum(0)), truth.mean())


def test_no_prediction_depends_on_rewards_of_its_user(generator: torch.Generator) -> None:
    rounds, _ = log(generator)
    assert rounds.user is not None
    theirs = rounds.user == rounds.user[0]
    before = cross_fitted_at(LinearRegression, None, rounds)
    after = cross_fitted_at(LinearRegression, None, replace(rounds, reward=rounds.reward + 10 * theirs))
    torch.testing.assert_close(before[theirs], after[theirs])
    assert not torch.allclose(before[~theirs], after[~theirs])


def test_a_prediction_needs_a_model(generator: torch.Generator) -> None:
    rounds, _ = log(generator)
    with pytest.raises(RequestError, match="needs a reward model"):
        DR(Gaussian(0.3)).terms(rounds)
