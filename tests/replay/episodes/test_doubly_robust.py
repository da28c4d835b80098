from dataclasses import replace

import pytest
import torch

from recsys.errors import RequestError
from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.doubly_robust import DM, DR, SNDR
from recsys.replay.actions.importance import IPS, SNIPS
from recsys.replay.episodes.batch import EpisodeBatch
from recsys.replay.episodes.doubly_robust import SequentialDM, SequentialDR, WeightedDoublyRobust
from recsys.replay.episodes.importance import PerDecisionIPS, PerDecisionSNIPS, TrajectoryWise
from tests.replay.episodes.worlds import (
    HORIZON,
    at_expectation,
    listed,
    modelled,
    over_pairs,
    states,
    truth,
    worth,
    wrong,
)

discounts = pytest.mark.parametrize("discount", [1.0, 0.7])


@discounts
def test_unbiased_with_a_wrong_model_over_all_logs_of_two_episodes(discount: float) -> None:
    world = modelled(listed(), wrong())
    assert over_pairs(SequentialDR(discount), world) == pytest.approx(truth(discount), abs=1e-12)


@discounts
def test_normalised_is_consistent_with_a_wrong_model_and_biased_on_small_logs(discount: float) -> None:
    world = modelled(listed(), wrong())
    estimator = WeightedDoublyRobust(HORIZON, discount)
    assert at_expectation(estimator, world) == pytest.approx(truth(discount), abs=1e-12)
    assert abs(over_pairs(estimator, world) - truth(discount)) > 0.01


@discounts
def test_the_direct_method_is_right_where_the_model_is(discount: float) -> None:
    estimator = SequentialDM(discount)
    assert at_expectation(estimator, modelled(listed(), worth(discount)[0])) == pytest.approx(truth(discount))
    assert abs(at_expectation(estimator, modelled(listed(), wrong())) - truth(discount)) > 0.5
    assert estimator.weight(listed().episodes).unique().tolist() == [1]


@discounts
def test_a_right_model_stands_in_for_missing_support(discount: float) -> None:
    right, wrongly = (modelled(listed(only=1), q) for q in (worth(discount)[0], wrong()))
    assert at_expectation(SequentialDR(discount), right) == pytest.approx(truth(discount))
    assert abs(at_expectation(SequentialDR(discount), wrongly) - truth(discount)) > 0.1


def test_a_right_model_lowers_the_variance() -> None:
    estimator = SequentialDR()
    spread = []
    for q in (worth(1.0)[0], torch.zeros(HORIZON, 2, 2).double()):
        world = modelled(listed(), q)
        each = estimator.value(estimator.terms(world.episodes))
        spread.append(float(world.probability @ (each - truth(1.0)).square()))
    assert spread[0] < spread[1] / 2


def test_sums_unroll_the_recursion() -> None:
    episodes = modelled(listed(), wrong()).episodes
    later = torch.zeros(len(episodes)).double()
    for step in reversed(range(HORIZON)):
        surprise = episodes.reward + 0.7 * later.unsqueeze(1) - episodes.need("predicted")
        now = episodes.need("expected") + episodes.ratio * surprise
        later = torch.where(episodes.mask[:, step], now[:, step], 0)
    torch.testing.assert_close(SequentialDR(0.7).terms(episodes)[:, 2], later)


@discounts
def test_without_a_model_it_is_importance_sampling(discount: float) -> None:
    world = modelled(listed(), torch.zeros(HORIZON, 2, 2).double())
    for model, weighed in (
        (SequentialDR(discount), PerDecisionIPS(discount)),
        (WeightedDoublyRobust(HORIZON, discount), PerDecisionSNIPS(HORIZON, discount)),
    ):
        assert over_pairs(model, world) == pytest.approx(over_pairs(weighed, world), abs=1e-12)


@discounts
def test_cut_off_episodes_go_on_by_the_model(discount: float) -> None:
    cut = listed(cut=0.5)
    right = modelled(cut, worth(discount)[0])
    estimators = (SequentialDR(discount), WeightedDoublyRobust(HORIZON, discount))
    for estimator in estimators:
        assert at_expectation(estimator, right) == pytest.approx(truth(discount), abs=1e-12)
        assert abs(at_expectation(estimator, modelled(cut, wrong())) - truth(discount)) > 0.1
        ended = replace(right, episodes=replace(right.episodes, done=None))
        assert abs(at_expectation(estimator, ended) - truth(discount)) > 0.05
    assert at_expectation(PerDecisionIPS(discount), cut) < truth(discount) - 0.05


def test_a_single_step_is_a_single_action() -> None:
    world = modelled(listed(horizon=1), wrong(1))
    episodes = world.episodes
    rounds = BanditBatch(
        action=episodes.need("action")[:, 0],
        reward=episodes.reward[:, 0],
        logging=episodes.logging[:, 0],
        target=episodes.target[:, 0],
        target_all=episodes.need("target_all")[:, 0],
        predicted_all=wrong(1)[0][states(episodes)[:, 0]],
    )
    pairs = (
        (IPS(), (TrajectoryWise(IPS()), PerDecisionIPS())),
        (SNIPS(), (TrajectoryWise(SNIPS()), PerDecisionSNIPS(1))),
        (DR(), (SequentialDR(),)),
        (SNDR(), (WeightedDoublyRobust(1),)),
        (DM(), (SequentialDM(),)),
    )
    for single, sequential in pairs:
        expected = float(single.value(single.terms(rounds).sum(0)))
        for estimator in sequential:
            assert float(estimator.value(estimator.terms(episodes).sum(0))) == pytest.approx(expected, abs=1e-12)


def test_a_missing_model_is_named() -> None:
    ones = torch.ones(1, 1).double()
    with pytest.raises(RequestError, match="a value model's prediction"):
        SequentialDR().terms(EpisodeBatch(ones, ones, ones, ones > 0))
