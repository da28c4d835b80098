import pytest
import torch

from recsys.errors import RequestError
from recsys.replay.actions.importance import IPS
from recsys.replay.episodes.importance import PerDecisionIPS, PerDecisionSNIPS, TrajectoryWise
from recsys.replay.intervals.fixed_sample import closed_form
from recsys.replay.sums import Sums
from tests.replay.episodes.worlds import HORIZON, at_expectation, listed, over_pairs, truth


@pytest.mark.parametrize("discount", [1.0, 0.7])
def test_unbiased_over_all_logs_of_two_episodes(discount: float) -> None:
    assert over_pairs(PerDecisionIPS(discount), listed()) == pytest.approx(truth(discount), abs=1e-12)


@pytest.mark.parametrize("discount", [1.0, 0.7])
def test_normalised_is_consistent_and_biased_on_small_logs(discount: float) -> None:
    estimator = PerDecisionSNIPS(HORIZON, discount)
    assert at_expectation(estimator, listed()) == pytest.approx(truth(discount), abs=1e-12)
    assert abs(over_pairs(estimator, listed()) - truth(discount)) > 0.01


def test_normalised_by_the_episodes_that_still_run_is_not_consistent() -> None:
    world = listed()
    episodes = world.episodes
    running = world.probability @ (episodes.weight * episodes.mask)
    earned = world.probability @ (episodes.weight * episodes.known("reward"))
    assert float(running[-1]) < 0.9
    assert abs(float((earned / running).sum()) - truth(1.0)) > 0.1


def test_varies_less_than_whole_trajectories() -> None:
    world = listed()

    def spread(estimator: object) -> float:
        each = estimator.value(estimator.terms(world.episodes))
        return float(world.probability @ (each - truth(1.0)).square())

    assert spread(PerDecisionIPS()) < spread(TrajectoryWise(IPS()))


def test_sums_of_shards_of_different_lengths_merge() -> None:
    episodes = listed().episodes
    short = ~episodes.mask[:, 2]
    estimator = PerDecisionSNIPS(HORIZON, 0.7)
    whole = Sums.of(estimator.terms(episodes))
    parts = [episodes.select(short).padded(2), episodes.select(~short)]
    merged = Sums.of(estimator.terms(parts[0])) + Sums.of(estimator.terms(parts[1]))
    assert merged.units == whole.units
    torch.testing.assert_close(merged.products, whole.products)
    found, expected = closed_form(estimator, merged), closed_form(estimator, whole)
    assert found.low == pytest.approx(expected.low)
    assert expected.low < expected.value < expected.high


def test_longer_episodes_than_the_horizon_are_refused() -> None:
    with pytest.raises(RequestError, match="has 3 steps"):
        PerDecisionSNIPS(2).terms(listed().episodes)
