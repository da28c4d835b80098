import pytest

from recsys.errors import RequestError
from recsys.replay.actions.doubly_robust import DR
from recsys.replay.actions.importance import IPS, SNIPS
from recsys.replay.actions.weights import Clip
from recsys.replay.episodes.importance import TrajectoryWise
from tests.replay.episodes.worlds import at_expectation, listed, over_pairs, truth


@pytest.mark.parametrize("discount", [1.0, 0.7])
def test_unbiased_over_all_logs_of_two_episodes(discount: float) -> None:
    assert over_pairs(TrajectoryWise(IPS(), discount), listed()) == pytest.approx(truth(discount), abs=1e-12)


@pytest.mark.parametrize("discount", [1.0, 0.7])
def test_normalised_is_consistent_and_biased_on_small_logs(discount: float) -> None:
    estimator = TrajectoryWise(SNIPS(), discount)
    assert at_expectation(estimator, listed()) == pytest.approx(truth(discount), abs=1e-12)
    assert abs(over_pairs(estimator, listed()) - truth(discount)) > 0.01


def test_clipping_biases_and_bounds_the_weight() -> None:
    estimator = TrajectoryWise(IPS(Clip(1.5)))
    assert estimator.weight(listed().episodes).max() == 1.5
    assert abs(at_expectation(estimator, listed()) - truth(1.0)) > 0.01


def test_missing_support_biases() -> None:
    assert abs(at_expectation(TrajectoryWise(IPS()), listed(only=1)) - truth(1.0)) > 0.1


def test_estimators_of_the_same_sums_share_terms_and_models_are_refused() -> None:
    assert TrajectoryWise(IPS(), 0.5).terms == TrajectoryWise(SNIPS(), 0.5).terms
    assert TrajectoryWise(IPS(), 0.5).terms != TrajectoryWise(IPS(), 0.6).terms
    with pytest.raises(RequestError, match="reward model"):
        TrajectoryWise(DR()).terms(listed().episodes)
