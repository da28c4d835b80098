"""Closed-form intervals over many logs of 1,500 episodes, and what a blend of returns hides."""

import pytest
import torch

from recsys.replay.actions.importance import IPS, SNIPS
from recsys.replay.episodes.doubly_robust import SequentialDR, WeightedDoublyRobust
from recsys.replay.episodes.importance import PerDecisionIPS, PerDecisionSNIPS, TrajectoryWise
from recsys.replay.episodes.magic import MAGIC
from recsys.replay.estimator import Estimator
from recsys.replay.intervals.fixed_sample import closed_form
from recsys.replay.sums import Sums
from tests.replay.episodes.worlds import HORIZON, listed, modelled, truth, worth, wrong

ESTIMATORS = (
    TrajectoryWise(IPS(), 0.9),
    TrajectoryWise(SNIPS(), 0.9),
    PerDecisionIPS(0.9),
    PerDecisionSNIPS(HORIZON, 0.9),
    SequentialDR(0.9),
    WeightedDoublyRobust(HORIZON, 0.9),
)


@pytest.mark.slow
def test_intervals_cover_as_often_as_promised() -> None:
    world = modelled(listed(), wrong())
    terms = [estimator.terms(world.episodes) for estimator in ESTIMATORS]
    covered = torch.zeros(len(ESTIMATORS))
    for _ in range(1000):
        drawn = torch.multinomial(world.probability, 1500, replacement=True)
        for place, estimator in enumerate(ESTIMATORS):
            interval = closed_form(estimator, Sums.of(terms[place][drawn]))
            covered[place] += interval.low <= truth(0.9) <= interval.high
    assert covered.min() >= 930
    assert covered.max() <= 970


def test_a_blend_believes_a_model_that_is_wrong_by_less_than_the_log_can_tell() -> None:
    world, covered, errors = modelled(listed(), worth(0.9)[0] * 1.1), 0, torch.zeros(2)
    terms = MAGIC(HORIZON).terms(world.episodes)
    for _ in range(50):
        sums = Sums.of(terms[torch.multinomial(world.probability, 500, replacement=True)])
        interval = closed_form(MAGIC(HORIZON, 0.9).choose(sums), sums)
        covered += interval.low <= truth(0.9) <= interval.high
        weighted = float(WeightedDoublyRobust(HORIZON, 0.9).value(sums.totals))
        errors += torch.tensor([interval.value - truth(0.9), weighted - truth(0.9)]).square()
    assert covered < 35
    assert errors[0] > errors[1]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_one_is_an_estimator_whose_value_depends_on_shares_alone(estimator: Estimator) -> None:
    assert isinstance(estimator, Estimator)
    assert estimator.terms == estimator.terms
    assert len({estimator, estimator}) == 1
    episodes = modelled(listed(), wrong()).episodes
    totals = estimator.terms(episodes).sum(0)
    torch.testing.assert_close(estimator.value(totals * 7), estimator.value(totals))
    torch.testing.assert_close(estimator.value(torch.stack([totals, totals * 2])), estimator.value(totals).expand(2))
    assert estimator.weight(episodes).shape == (len(episodes),)
