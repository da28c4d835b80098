from __future__ import annotations

import pytest
import torch

from recsys.errors import RequestError
from recsys.metrics.intervals import Interval
from recsys.replay.accumulate import EstimatorSums, accumulate
from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.importance import IPS, SNIPS
from recsys.replay.actions.weights import Clip
from recsys.replay.intervals.anytime import asymptotic_sequence, confidence_sequence
from recsys.replay.intervals.bootstrap import Bootstrap, percentile
from recsys.replay.intervals.fixed_sample import closed_form
from recsys.replay.intervals.methods import (
    AnytimeValid,
    BootstrapPercentile,
    ClosedForm,
    EmpiricalBernstein,
    IntervalMethod,
)

ESTIMATORS = {"ips": IPS(), "snips": SNIPS(), "clipped": IPS(Clip(1.5))}


def rounds(user: torch.Tensor | None = None) -> BanditBatch:
    """Weights .5 and 2, which average 1 under the logging policy; rewards 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    action = (torch.rand(2000, generator=generator) < 1 / 3).long()
    reward = (torch.rand(2000, generator=generator) < 0.3 + 0.4 * action).double()
    logging, target = (
        torch.tensor(chances, dtype=torch.float64)[action] for chances in ([2 / 3, 1 / 3], [1 / 3, 2 / 3])
    )
    return BanditBatch(action, reward, logging, target, user)


def summed(name: str, interval: IntervalMethod, user: torch.Tensor | None = None) -> EstimatorSums:
    return accumulate(ESTIMATORS, [rounds(user)], bootstrap=interval.resampling)[name]


def of(name: str, interval: IntervalMethod) -> Interval:
    return interval(ESTIMATORS[name], summed(name, interval), 0.9)


def test_each_is_what_it_says() -> None:
    found = summed("snips", ClosedForm())
    assert of("snips", ClosedForm()) == closed_form(SNIPS(), found.sums, 0.9)
    drawn = BootstrapPercentile(Bootstrap(50))
    with_replicates = summed("snips", drawn)
    assert with_replicates.replicates is not None
    assert of("snips", drawn) == percentile(SNIPS(), with_replicates.sums, with_replicates.replicates, 0.9)
    with pytest.raises(RequestError, match="no replicates were summed"):
        drawn(SNIPS(), found, 0.9)


def test_at_all_times_by_proof_for_plain_weights_and_in_the_limit_for_others() -> None:
    anytime = AnytimeValid(tightest=500)
    assert of("ips", anytime) == confidence_sequence(summed("ips", anytime).sums, (0.0, 1.0), 0.9)
    for name in ("snips", "clipped"):
        assert of(name, anytime) == asymptotic_sequence(ESTIMATORS[name], summed(name, anytime).sums, 500, 0.9)
    for name in ESTIMATORS:
        wide, one_time = of(name, anytime), of(name, ClosedForm())
        assert wide.low is not None and wide.high is not None
        assert one_time.low is not None and one_time.high is not None
        assert wide.low < one_time.low < one_time.high < wide.high


def test_bernstein_is_for_means_with_a_known_largest_weight() -> None:
    found, plain = of("ips", EmpiricalBernstein(largest=2.0)), of("ips", ClosedForm())
    assert found.value == pytest.approx(plain.value)
    assert found.low is not None and found.high is not None and plain.low is not None and plain.high is not None
    assert 0 <= found.low < plain.low < plain.high < found.high <= 2
    wider = of("ips", EmpiricalBernstein(largest=20.0))
    assert wider.low is not None and wider.low < found.low
    clipped = of("clipped", EmpiricalBernstein(largest=1.5))
    assert clipped.low is not None and clipped.high is not None and clipped.high - clipped.low < found.high - found.low
    assert of("snips", EmpiricalBernstein(largest=2.0)).low is None
    with pytest.raises(RequestError, match=r"a weight is 2, above 1\.5, the configured largest"):
        of("ips", EmpiricalBernstein(largest=1.5))


def test_bounds_of_rounds_refuse_users() -> None:
    user = torch.arange(2000) // 2
    for interval in (EmpiricalBernstein(largest=2.0), AnytimeValid()):
        with pytest.raises(RequestError, match="2000 rounds of 1000 users"):
            interval(IPS(), summed("ips", interval, user), 0.9)
