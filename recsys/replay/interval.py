"""How an interval around an estimate is made: by name in a configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from recsys.errors import RequestError
from recsys.metrics.intervals import Interval
from recsys.replay.accumulate import Summed
from recsys.replay.bootstrap import Bootstrap, percentile
from recsys.replay.closed_form import closed_form
from recsys.replay.confidence_sequence import confidence_sequence
from recsys.replay.estimator import Estimator
from recsys.replay.importance import IPS
from recsys.replay.weights import Plain


@runtime_checkable
class IntervalOf(Protocol):
    """An interval of what was summed."""

    @property
    def bootstrap(self) -> Bootstrap | None:
        """Replicates that must be summed for it; None for none."""
        ...

    def __call__(self, estimator: Estimator[Any], summed: Summed, confidence: float) -> Interval:
        """The estimate between its bounds.

        Args:
            estimator: whose.
            summed: of its terms.
            confidence: in (0, 1).
        """
        ...


@dataclass(frozen=True)
class ClosedForm:
    """By the delta method, `closed_form`."""

    bootstrap: None = None

    def __call__(self, estimator: Estimator[Any], summed: Summed, confidence: float) -> Interval:
        """See `IntervalOf`."""
        return closed_form(estimator, summed.sums, confidence)


@dataclass(frozen=True)
class Percentile:
    """By resampling users, or rounds where there are none, `percentile`.

    Args:
        bootstrap: how often.
    """

    bootstrap: Bootstrap

    def __call__(self, estimator: Estimator[Any], summed: Summed, confidence: float) -> Interval:
        """See `IntervalOf`."""
        if summed.replicates is None:
            raise RequestError("no replicates were summed: accumulate with the bootstrap of this interval")
        return percentile(estimator, summed.sums, summed.replicates, confidence)


@dataclass(frozen=True)
class AnytimeValid:
    """`confidence_sequence`, which holds however often a log is looked at while it grows; for `IPS`.

    Other estimators get the closed form.

    Args:
        low: no reward is below.
        high: no reward is above.
    """

    low: float = 0.0
    high: float = 1.0
    bootstrap: None = None

    def __call__(self, estimator: Estimator[Any], summed: Summed, confidence: float) -> Interval:
        """See `IntervalOf`."""
        if estimator == IPS(Plain()):
            return confidence_sequence(summed.sums, (self.low, self.high), confidence)
        return closed_form(estimator, summed.sums, confidence)
