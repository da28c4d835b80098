"""Estimators chosen by the data, SLOPE and MAGIC, and how a configured name becomes one estimator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from recsys.data.logs.feedback_source import FeedbackLog
from recsys.errors import RequestError
from recsys.ranges import between
from recsys.replay.accumulate import Accumulation, EstimatorSums
from recsys.replay.actions.marginal import ClusteredEstimator
from recsys.replay.episodes.doubly_robust import WeightedDoublyRobust
from recsys.replay.episodes.magic import MAGIC
from recsys.replay.estimator import Estimator
from recsys.replay.intervals.fixed_sample import closed_form
from recsys.replay.sums import Sums


@dataclass(frozen=True)
class Slope:
    """Choose the most biased estimator of a family that no less biased one contradicts (SLOPE).

    The estimators stand in order of rising bias and falling variance. With value `v_i` and half width `c_i` of the
    closed-form interval (raised to that of any later estimator), the chosen one is the last before the intervals `v_1 ±
    2 c_1, v_2 ± 2 c_2, …` have no common point. Its error is within a constant factor of the smallest sum of bias and
    half width in the family. The interval of the chosen estimator ignores the choice: report it from other rounds.
    Source: Su, Srinath, Krishnamurthy 2020, "Adaptive estimator selection for off-policy evaluation".

    Args:
        estimators: such as `IPS(Clip(limit))` with falling limits, or `DR(Shrink(strength))` with falling strengths.
        confidence: level of the intervals that are compared, in (0, 1). 0.25 had the smallest error of 0.95, 0.8, 0.5
            and 0.25; 0.95 chose the most biased member too often (docs/log.md).
    """

    estimators: Sequence[Estimator[Any]]
    confidence: float = 0.25

    def __post_init__(self) -> None:
        between(0, 1, confidence=self.confidence)
        object.__setattr__(self, "estimators", tuple(self.estimators))
        if not self.estimators:
            raise RequestError("there is no estimator to choose from")

    def choose(self, sums: Sequence[Sums]) -> Estimator[Any]:
        """Return the chosen estimator.

        Args:
            sums: sums of each estimator's terms, in the order of the estimators.

        Raises:
            RequestError: there are fewer than two units, or not as many sums as estimators.

        >>> from recsys.replay.actions.importance import IPS
        >>> from recsys.replay.actions.weights import Clip
        >>> import torch
        >>> def sums(values):
        ...     return Sums.of(torch.tensor([[1.0, 1.0, value] for value in values]))
        >>> family = Slope((IPS(), IPS(Clip(9.0)), IPS(Clip(1.0))), confidence=0.95)
        >>> family.choose([sums([0.0, 9.0, 0.0, 3.0]), sums([1.0, 2.0, 1.0, 2.0]), sums([0.1, 0.1, 0.1, 0.1])])
        IPS(weights=Clip(limit=1.0))
        """
        if len(sums) != len(self.estimators):
            raise RequestError(f"{len(self.estimators)} estimators need as many sums, not {len(sums)}")
        found = []
        for estimator, its in zip(self.estimators, sums, strict=True):
            interval = closed_form(estimator, its, self.confidence)
            if interval.high is None:
                raise RequestError(
                    "estimators are chosen by their intervals, which need two units (rounds, users) or more"
                )
            found.append((interval.value, interval.high - interval.value))
        return self.estimators[last_in_common(found)]


def last_in_common(found: Sequence[tuple[float, float]]) -> int:
    """Return the largest `i` such that the intervals `v_j ± 2 c_j` of all `j ≤ i` have a common point.

    Args:
        found: value and half width of each estimator; a half width below a later one is raised to it.

    >>> last_in_common([(0.0, 1.0), (1.0, 0.5), (2.5, 0.1)])  # [−2, 2], [0, 2], [2.3, 2.7]
    1
    """
    values = [value for value, _ in found]
    widths = [2 * half for half in accumulate((half for _, half in reversed(found)), max)][::-1]
    low = accumulate((value - width for value, width in zip(values, widths, strict=True)), max)
    high = accumulate((value + width for value, width in zip(values, widths, strict=True)), min)
    return sum(bottom <= top for bottom, top in zip(low, high, strict=True)) - 1


EstimatorLike = Estimator[Any] | Slope | MAGIC | ClusteredEstimator
"""An estimator, or what becomes one by the data (`Slope`, `MAGIC`) or by the log's table of actions."""


@dataclass(frozen=True)
class ResolvedEstimator:
    """The estimator that stands for a configured name after choosing.

    Args:
        estimator: the estimator.
        statistics: its sums, weights and replicates.
        chosen: the chosen estimator as text; empty where there was no choice.
        has_interval: whether its interval is shown; False where the interval would ignore how the estimator was chosen,
            and be too narrow.
    """

    estimator: Estimator[Any]
    statistics: EstimatorSums
    chosen: str = ""
    has_interval: bool = True


def members(estimators: Mapping[str, EstimatorLike], log: FeedbackLog | None = None) -> dict[str, Estimator[Any]]:
    """Return the estimators that are summed: for a `Slope` each member, named `<name>/<number>`.

    For `MAGIC`, which has no value before it has chosen, an estimator with the same terms and weights is summed.

    Args:
        estimators: estimators by name.
        log: the log, which a `ClusteredEstimator` reads its clusters from; None where there is no such estimator.

    Raises:
        RequestError: the log lacks the clusters that an estimator needs.
    """
    found: dict[str, Estimator[Any]] = {}
    for name, one in estimators.items():
        if isinstance(one, Slope):
            found |= {f"{name}/{place}": member for place, member in enumerate(one.estimators)}
        elif isinstance(one, MAGIC):
            found[name] = WeightedDoublyRobust(one.horizon, one.discount)
        else:
            found[name] = one.of(log) if isinstance(one, ClusteredEstimator) else one
    return found


def resolve_estimator(name: str, one: EstimatorLike, found: Accumulation) -> ResolvedEstimator:
    """Return the estimator that stands for a name, chosen by the data where it is a family.

    Args:
        name: the name.
        one: the configured estimator.
        found: sums of its `members`.
    """
    if isinstance(one, Slope):
        summed = [found[f"{name}/{place}"] for place in range(len(one.estimators))]
        best = one.choose([each.sums for each in summed])
        return ResolvedEstimator(best, summed[one.estimators.index(best)], str(best))
    if isinstance(one, MAGIC):
        blend = one.choose(found[name].sums)
        return ResolvedEstimator(blend, found[name], str(blend), has_interval=False)
    return ResolvedEstimator(found.estimators[name], found[name])
