"""Interval methods as a configuration names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from typing_extensions import override

from recsys.errors import RequestError
from recsys.metrics.intervals import Interval
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
    """An interval of what was summed."""

    @property
    def resampling(self) -> Bootstrap | None:
        """Return the bootstrap whose replicates are summed for this interval, None if it needs none."""
        return None

    def __call__(self, estimator: Estimator[Any], statistics: EstimatorSums, confidence: float) -> Interval:
        """The estimate between its bounds.

        Args:
            estimator: whose.
            statistics: of its terms.
            confidence: in (0, 1).
        """
        ...


@dataclass(frozen=True)
class ClosedForm(IntervalMethod):
    """By the delta method, `closed_form`."""

    @override
    def __call__(self, estimator: Estimator[Any], statistics: EstimatorSums, confidence: float) -> Interval:
        return closed_form(estimator, statistics.sums, confidence)


@dataclass(frozen=True)
class BootstrapPercentile(IntervalMethod):
    """By resampling users, or rounds where there are none, `percentile`.

    Args:
        bootstrap: how often.
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
    """`empirical_bernstein`, which holds for logs of any size; for `IPS` of any weights, others have no interval.

    Where weights are clipped, it is for the clipped mean.

    Args:
        largest: no weight is above, known from the two policies (or the clip) and not from the log.
        low: no reward is below.
        high: no reward is above.
    """

    largest: float
    low: float = 0.0
    high: float = 1.0

    def __call__(self, estimator: Estimator[Any], statistics: EstimatorSums, confidence: float) -> Interval:
        """See `IntervalMethod`.

        Raises:
            RequestError: a weight is above `largest`, or rounds of a user depend on each other.
        """
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
    """Holds however often a log is looked at while it grows.

    `confidence_sequence` for `IPS` of plain weights, proved for any log size; `asymptotic_sequence` for others.

    Args:
        low: no reward is below.
        high: no reward is above.
        tightest: number of users, or rounds, at which the latter is best; not chosen by the log.
    """

    low: float = 0.0
    high: float = 1.0
    tightest: int = 10_000

    def __call__(self, estimator: Estimator[Any], statistics: EstimatorSums, confidence: float) -> Interval:
        """See `IntervalMethod`.

        Raises:
            RequestError: for `IPS`, rounds of a user depend on each other.
        """
        if estimator == IPS(PlainWeights()):
            return confidence_sequence(statistics.sums, (self.low, self.high), confidence)
        return asymptotic_sequence(estimator, statistics.sums, self.tightest, confidence)
