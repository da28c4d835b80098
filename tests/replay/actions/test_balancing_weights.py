from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import PolynomialFeatures
from torch import Tensor

from recsys.data.logs.batches import LoggedActions
from recsys.errors import RequestError
from recsys.replay.actions.balancing_weights import balancing_weights

LOGGING = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.3, 0.6]], dtype=torch.float64)
TARGET = torch.tensor([[0.2, 0.2, 0.6], [0.3, 0.6, 0.1]], dtype=torch.float64)
free = partial(LogisticRegression, C=1e6, max_iter=2000)


class FreeOfEverything(LogisticRegression):
    """With a number for each pair of context and action."""

    def __init__(self) -> None:
        super().__init__(C=1e6, max_iter=2000)
        self.pairs = PolynomialFeatures(interaction_only=True)

    def fit(self, features, label, sample_weight=None):
        return super().fit(self.pairs.fit_transform(features), label, sample_weight)

    def predict_proba(self, features):
        return super().predict_proba(self.pairs.transform(features))


def log(rows: int, generator: torch.Generator) -> tuple[LoggedActions, Tensor]:
    """Two contexts; actions by the logging policy."""
    context = torch.randint(2, (rows,), generator=generator)
    action = LOGGING[context].multinomial(1, generator=generator).squeeze(1)
    reward = torch.zeros(rows, dtype=torch.float64)
    return LoggedActions(torch.arange(rows), action, reward, context=context.unsqueeze(1).double()), context


def test_a_free_classifier_finds_the_ratio_without_propensities(generator: torch.Generator) -> None:
    rounds, context = log(20_000, generator)
    found = balancing_weights(rounds, TARGET[context], make=FreeOfEverything, count=2)
    true = (TARGET / LOGGING)[context, rounds.action]
    assert float(((found - true) / true).abs().max()) < 0.1
    assert float(found.mean()) == pytest.approx(1, abs=0.02)


def test_a_classifier_without_interactions_is_biased_here(generator: torch.Generator) -> None:
    rounds, context = log(20_000, generator)
    found = balancing_weights(rounds, TARGET[context], make=free, count=2)
    true = (TARGET / LOGGING)[context, rounds.action]
    assert float(((found - true) / true).abs().max()) > 0.5


def test_the_same_policy_has_weights_of_1(generator: torch.Generator) -> None:
    rounds, context = log(20_000, generator)
    found = balancing_weights(rounds, LOGGING[context], count=2)
    torch.testing.assert_close(found, torch.ones_like(found), atol=0.1, rtol=0)


class Certain(LogisticRegression):
    """Sure of the origin of every pair, as an unpenalised tree is."""

    def __init__(self, policy: float) -> None:
        super().__init__()
        self.policy = policy

    def predict_proba(self, features):
        return np.tile([1 - self.policy, self.policy], (len(features), 1))


def test_a_logged_pair_that_is_surely_of_the_target_policy_is_refused_and_of_the_log_weighs_nothing(
    generator: torch.Generator,
) -> None:
    rounds, context = log(40, generator)
    with pytest.raises(RequestError, match=r"certain \(probability 1\) that 20 of 20 logged pairs .* infinite"):
        balancing_weights(rounds, TARGET[context], make=partial(Certain, 1.0), count=2)
    assert not balancing_weights(rounds, TARGET[context], make=partial(Certain, 0.0), count=2).any()
