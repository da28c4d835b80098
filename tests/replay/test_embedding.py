from __future__ import annotations

from functools import partial

import pytest
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

from recsys.data.logged_actions import LoggedActions
from recsys.replay.embedding import embedding_weights
from tests.replay.test_balanced import LOGGING, TARGET, free, log


def test_an_embedding_that_says_nothing_leaves_weights_of_1(generator: torch.Generator) -> None:
    """`Σ_a p(a | x) π(a | x) / p(a | x)`, with `p(a | x)` learnt from contexts."""
    rounds, context = log(20_000, generator)
    nothing = torch.zeros(20_000, 1)
    found = embedding_weights(rounds, LOGGING[context], TARGET[context], nothing, make=free, count=2)
    torch.testing.assert_close(found, torch.ones_like(found), atol=0.1, rtol=0)


def test_an_embedding_that_is_a_cluster_has_the_weights_of_the_cluster(generator: torch.Generator) -> None:
    rounds, context = log(20_000, generator)
    cluster = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])[rounds.action]
    make = partial(make_pipeline, PolynomialFeatures(interaction_only=True), free())
    found = embedding_weights(rounds, LOGGING[context], TARGET[context], cluster, make=make, count=2)
    alike = torch.tensor([0, 1, 1]) == (rounds.action > 0).long().unsqueeze(1)
    true = (TARGET[context] * alike).sum(1) / (LOGGING[context] * alike).sum(1)
    assert float(((found - true) / true).abs().max()) < 0.1


def test_an_embedding_that_says_the_action_leaves_plain_weights(generator: torch.Generator) -> None:
    rounds, context = log(300, generator)
    found = embedding_weights(rounds, LOGGING[context], TARGET[context], torch.eye(3)[rounds.action], make=free)
    torch.testing.assert_close(found, (TARGET / LOGGING)[context, rounds.action], atol=1e-2, rtol=1e-2)


def test_a_round_none_of_whose_actions_was_seen_keeps_its_plain_weight() -> None:
    rounds = LoggedActions(
        torch.arange(5), torch.tensor([0, 0, 1, 1, 2]), torch.zeros(5), user=torch.tensor([0, 1, 0, 1, 2])
    )
    logging = torch.tensor([[0.5, 0.5, 0.0]] * 4 + [[0.0, 0.0, 1.0]], dtype=torch.float64)
    target = torch.tensor([[0.5, 0.5, 0.0]] * 4 + [[0.2, 0.3, 0.5]], dtype=torch.float64)
    found = embedding_weights(rounds, logging, target, torch.eye(3)[rounds.action], count=3)
    assert found.tolist() == pytest.approx([1, 1, 1, 1, 0.5])
