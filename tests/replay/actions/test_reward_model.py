from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import product

import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from recsys.data.logs.batches import LoggedActions
from recsys.errors import RequestError
from recsys.replay.actions import cross_fitting as features
from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.doubly_robust import DR, mrdr_sample_weight
from recsys.replay.actions.reward_model import ActionMeans, RewardExamples, RewardModel, RewardRegression, cross_fitted
from tests.contracts.estimators import rounds as contract_rounds
from tests.contracts.estimators import select

ACTIONS = 3


def linear_log(rows: int, generator: torch.Generator) -> tuple[LoggedActions, Tensor]:
    """Rewards without noise, linear in the context with a level an action."""
    context = torch.randn(rows, 2, generator=generator, dtype=torch.float64)
    means = (context @ torch.tensor([1.0, -2.0]).double()).unsqueeze(1) + torch.tensor([0.0, 0.5, 3.0]).double()
    action = torch.randint(ACTIONS, (rows,), generator=generator)
    user = torch.randint(rows // 3, (rows,), generator=generator)
    reward = means.gather(1, action.unsqueeze(1)).squeeze(1)
    return LoggedActions(torch.arange(rows), action, reward, user=user, context=context), means


def test_cross_fitted_dr_is_unbiased_over_all_logs_of_two_rounds_and_dr_of_its_own_rounds_is_not() -> None:
    """Each round's model is the other's reward; the other way, both rounds' model is theirs."""
    world = contract_rounds()
    units, table = world.units, ActionMeans(0.5)
    own, crossed = [], []
    for first, second in product(range(len(units)), repeat=2):
        log = select(units, torch.tensor([first, second]))
        logged = LoggedActions(torch.arange(2), log.action, log.reward)
        seen = RewardExamples(None, log.action, log.reward, torch.ones(2, dtype=torch.float64))
        for values, model in ((own, table(seen, None, 2, 3)), (crossed, cross_fitted(table, logged, 3, count=2))):
            values.append(DR().value(DR().terms(replace(log, predicted_all=model.contiguous())).sum(0)))
    chance = torch.outer(world.probability, world.probability).flatten()
    assert float(chance @ torch.stack(crossed)) == pytest.approx(world.truth, abs=1e-12)
    assert abs(float(chance @ torch.stack(own)) - world.truth) > 0.01


MODELS = {"table": ActionMeans(1.0), "linear": RewardRegression(LinearRegression)}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_no_prediction_depends_on_rewards_of_its_user(model: RewardModel, generator: torch.Generator) -> None:
    log, _ = linear_log(60, generator)
    assert log.user is not None
    before = cross_fitted(model, log, ACTIONS)
    theirs = log.user == log.user[0]
    after = cross_fitted(model, replace(log, reward=log.reward + 10 * theirs), ACTIONS)
    torch.testing.assert_close(before[theirs], after[theirs])
    assert not torch.allclose(before[~theirs], after[~theirs])


def test_a_right_regression_is_exact(generator: torch.Generator) -> None:
    log, means = linear_log(60, generator)
    torch.testing.assert_close(cross_fitted(RewardRegression(LinearRegression), log, ACTIONS), means)


def test_features_of_actions_carry_over_to_actions_never_seen(generator: torch.Generator) -> None:
    log, means = linear_log(60, generator)
    seen = log.action < 2
    assert log.context is not None
    partly = LoggedActions(log.request[seen], log.action[seen], log.reward[seen], context=log.context[seen])
    model = RewardRegression(LinearRegression, action_features=torch.tensor([[0.0], [0.5], [3.0]]))
    torch.testing.assert_close(cross_fitted(model, partly, ACTIONS), means[seen])
    with pytest.raises(RequestError, match="2 actions have features, and the log has 3 actions"):
        cross_fitted(RewardRegression(LinearRegression, torch.eye(2)), partly, ACTIONS)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch, generator: torch.Generator) -> None:
    log, _ = linear_log(60, generator)
    whole = cross_fitted(MODELS["linear"], log, ACTIONS)
    monkeypatch.setattr(features, "CHUNK_NUMBERS", 40)
    torch.testing.assert_close(cross_fitted(MODELS["linear"], log, ACTIONS), whole)


def test_a_classifier_gives_the_mean_of_its_classes() -> None:
    """Without context and without regularisation, the shares of each action's rewards 0 and 2."""
    action = torch.tensor([0] * 10 + [1] * 10)
    reward = torch.tensor([2.0] * 3 + [0.0] * 7 + [2.0] * 8 + [0.0] * 2, dtype=torch.float64)
    examples = RewardExamples(None, action, reward, torch.ones(20, dtype=torch.float64))
    model = RewardRegression(partial(LogisticRegression, C=1e9, max_iter=1000))
    predicted = model(examples, None, 2, 2)
    torch.testing.assert_close(predicted, torch.tensor([[0.6, 1.6]] * 2).double(), atol=1e-3, rtol=0)
    alike = model(replace(examples, reward=torch.full((20,), 2.0).double()), None, 1, 2)
    assert alike.tolist() == [[2, 2]]


def test_weights_decide_where_a_wrong_model_is_right() -> None:
    """One number for both actions: 3 rounds of weight 1 say 0, one of weight 9 says 1."""
    examples = RewardExamples(
        None, torch.tensor([0, 0, 0, 1]), torch.tensor([0.0, 0, 0, 1]).double(), torch.ones(4).double()
    )
    constant = RewardRegression(LinearRegression, action_features=torch.zeros(2, 1))
    assert constant(examples, None, 1, 2).tolist() == [pytest.approx([0.25, 0.25])]
    weighted = replace(examples, weight=torch.tensor([1.0, 1, 1, 9]).double())
    assert constant(weighted, None, 1, 2).tolist() == [pytest.approx([0.75, 0.75])]
    assert ActionMeans(1e12)(weighted, None, 1, 2).tolist() == [pytest.approx([0.75, 0.75])]


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_rounds_of_no_weight_teach_nothing(model: RewardModel, generator: torch.Generator) -> None:
    log, _ = linear_log(60, generator)
    weight = (torch.arange(60) % 2).double()
    spoilt = replace(log, reward=log.reward + 10 * (1 - weight))
    clean = cross_fitted(model, log, ACTIONS, weight=weight)
    torch.testing.assert_close(cross_fitted(model, spoilt, ACTIONS, weight=weight), clean)
    assert not torch.allclose(cross_fitted(model, spoilt, ACTIONS), clean)


def test_a_pipeline_takes_weights_by_its_step() -> None:
    examples = RewardExamples(
        None, torch.tensor([0, 0, 1]), torch.tensor([0.0, 1, 5]).double(), torch.tensor([1.0, 3, 1]).double()
    )
    model = RewardRegression(
        lambda: make_pipeline(StandardScaler(), LinearRegression()), weight_key="linearregression__sample_weight"
    )
    assert model(examples, None, 1, 2).tolist() == [pytest.approx([0.75, 5])]


def test_a_table_knows_nothing_of_actions_never_seen() -> None:
    examples = RewardExamples(None, torch.tensor([0, 0]), torch.tensor([1.0, 2.0]).double(), torch.ones(2).double())
    assert ActionMeans(2.0)(examples, None, 1, 2).tolist() == [pytest.approx([1.5, 1.5])]


def test_more_robust_weights_minimise_the_variance_of_dr() -> None:
    """A policy that always takes action 0, one number for two contexts of p = .5 and .1, means 0 and 1, no noise.

    The variance is `Σ_x P(x) (1 − p) / p (m − q)²`, least at `q = 9 / (1 + 9)`; plain squared error has it at 1 / 6.
    """
    propensity = torch.tensor([0.5, 0.1], dtype=torch.float64)
    rounds = BanditBatch(torch.tensor([0, 0]), torch.tensor([0.0, 1.0]).double(), propensity, torch.ones(2).double())
    logged = propensity
    constant = RewardRegression(LinearRegression, action_features=torch.zeros(1, 1))
    plain = constant(RewardExamples(None, rounds.action, rounds.reward, logged), None, 1, 1)
    robust = constant(
        RewardExamples(None, rounds.action, rounds.reward, logged * mrdr_sample_weight(rounds)), None, 1, 1
    )
    assert float(plain) == pytest.approx(1 / 6) and float(robust) == pytest.approx(0.9)
