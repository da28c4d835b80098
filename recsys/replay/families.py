"""Estimators that are known when the log is, and those that choose among others once everything is summed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recsys.data.feedback_source import FeedbackLog
from recsys.replay.accumulate import Accumulation, Summed
from recsys.replay.clusters import ByColumn
from recsys.replay.episodes.doubly_robust import SequentialSNDR
from recsys.replay.episodes.magic import MAGIC
from recsys.replay.estimator import Estimator
from recsys.replay.slope import Slope


@dataclass(frozen=True)
class Resolved:
    """What stands for a name after choosing.

    Args:
        estimator: with a value.
        summed: of its terms.
        chosen: what it is, in words; empty where there was no choice.
        sure: whether its interval is worth showing: one that ignores how the choice was made may be far too narrow.
    """

    estimator: Estimator[Any]
    summed: Summed
    chosen: str = ""
    sure: bool = True


def members(estimators: Mapping[str, Any], log: FeedbackLog | None = None) -> dict[str, Estimator[Any]]:
    """What must be summed: of a `Slope` each of its estimators, named `<name>/<number>`.

    `MAGIC` has no value before it has chosen: for it stands an estimator of the same terms and weights.

    Args:
        estimators: by name.
        log: over which; None where none has clusters.

    Raises:
        RequestError: the log has not the clusters that one needs.
    """
    found: dict[str, Estimator[Any]] = {}
    for name, one in estimators.items():
        if isinstance(one, Slope):
            found |= {f"{name}/{place}": member for place, member in enumerate(one.estimators)}
        elif isinstance(one, MAGIC):
            found[name] = SequentialSNDR(one.horizon, one.discount)
        else:
            found[name] = one.of(log) if isinstance(one, ByColumn) else one
    return found


def resolved(name: str, one: Any, found: Accumulation) -> Resolved:
    """The estimator that stands for a name.

    Args:
        name: of it.
        one: an estimator, `ByColumn`, a `Slope` or `MAGIC`.
        found: sums of its `members`.
    """
    if isinstance(one, Slope):
        summed = [found[f"{name}/{place}"] for place in range(len(one.estimators))]
        best = one.choose([each.sums for each in summed])
        return Resolved(best, summed[one.estimators.index(best)], str(best))
    if isinstance(one, MAGIC):
        blend = one.choose(found[name].sums)
        return Resolved(blend, found[name], str(blend), sure=False)
    return Resolved(found.estimators[name], found[name])
