"""Interval methods as a configuration names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from typing_extensions import override

from recsys.errors import RequestError
from recsys.metrics.intervals import Interval
from recsys.ranges import above, at_least, finite
from recsys.replay.accumulate import EstimatorSums
from recsys.replay.actions.importance import IPS
from recsys.replay.actions.weights import PlainWeights
from recsys.replay.estimator import Estimator
from recsys.replay.intervals.anytime import asymptotic_sequence, confidence_sequence
from recsys.replay.intervals.bootstrap import Bootstrap, percentile
from recsys.replay.intervals.fixed_sample import closed_form, empirical_bernstein
from recsys.replay.sums import SampleMean


@runtime_checkable
class IntervalMethod(Protocol):
    """A method that computes the confidence interval of an estimate from its sums."""

    @property
    def resampling(self) -> Bootstrap | None:
        """Return the bootstrap whose replicates are summed for this interval, None if it needs none."""
        return None

    def __call__(self, estimator: Estimator[Any], statistics: EstimatorSums, confidence: float) -> Interval:
        """Return the estimate with its interval.

        Args:
            estimator: the estimator.
            statistics: sums, weights and replicates of its terms.
            confidence: level, in (0, 1).

        Raises:
            RequestError: the sums do not allow this interval.
        """
        ...


@dataclass(frozen=True)
class ClosedForm(IntervalMethod):
    """Intervals by the delta method, from sums alone; see `closed_form`."""

    @override
    def __call__(self, estimator: Estimator[Any], statistics: EstimatorSums, confidence: float) -> Interval:
        return closed_form(estimator, statistics.sums, confidence)


@dataclass(frozen=True)
class BootstrapPercentile(IntervalMethod):
    """Intervals by resampling users, or rows where there are no users; see `percentile`.

    Args:
        bootstrap: number of replicates, and their seed.
    """

    bootstrap: Bootstrap

    @property
    @override
    def resampling(self) -> Bootstrap:
        return self.bootstrap

    @override
    def __call__(self, estimator: Estimator[Any], statistics: EstimatorSums, confidence: float) -> Interval:
        if statistics.replicates is None:
            raise RequestError("no replicates were summed: accumulate with the bootstrap of this interval")
        return percentile(estimator, statistics.sums, statistics.replicates, confidence)


@dataclass(frozen=True)
class EmpiricalBernstein(IntervalMethod):
    """Intervals that hold at any log size, for `IPS` with any weights; see `empirical_bernstein`.

    Other estimators have none. With clipped weights, the interval is of the clipped mean. A `RequestError` is raised if
    a weight is above `largest` or if rounds of a user depend on each other.

    Args:
        largest: largest possible weight, known from the two policies or from the clip, not from the log.
        low: smallest possible reward.
        high: largest possible reward.
    """

    largest: float
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        above(0, largest=self.largest)
        finite(low=self.low)
        above(self.low, high=self.high)

    @override
    def __call__(self, estimator: Estimator[Any], statistics: EstimatorSums, confidence: float) -> Interval:
        if type(estimator) is not IPS:
            return Interval(float(estimator.value(statistics.sums.totals)))
        if statistics.weights.largest > self.largest:
            raise RequestError(
                f"a weight is {statistics.weights.largest:g}, above {self.largest:g}, the configured largest: "
                "give what the policies allow (interval.largest), or clip weights"
            )
        bounds = self.largest * min(self.low, 0.0), self.largest * max(self.high, 0.0)
        return empirical_bernstein(SampleMean.of(statistics.sums, (0, 0, 1)), *bounds, confidence)


@dataclass(frozen=True)
class AnytimeValid(IntervalMethod):
    """Intervals that hold at all sizes of a growing log at once.

    For `IPS` with plain weights it is the `confidence_sequence`, proved for every log size; rounds of a user must not
    depend on each other there, else a `RequestError` is raised. For other estimators it is the `asymptotic_sequence`.

    Args:
        low: smallest possible reward.
        high: largest possible reward.
        tightest: number of users, or rounds, at which the asymptotic sequence is tightest; not chosen by the log.
    """

    low: float = 0.0
    high: float = 1.0
    tightest: int = 10_000

    def __post_init__(self) -> None:
        finite(low=self.low)
        above(self.low, high=self.high)
        at_least(1, tightest=self.tightest)

    @override
    def __call__(self, estimator: Estimator[Any], statistics: EstimatorSums, confidence: float) -> Interval:
        if estimator == IPS(PlainWeights()):
            return confidence_sequence(statistics.sums, (self.low, self.high), confidence)
        return asymptotic_sequence(estimator, statistics.sums, self.tightest, confidence)
