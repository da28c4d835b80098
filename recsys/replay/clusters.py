"""Estimators whose clusters of actions stand in the log's table of actions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from recsys.data.action_log import ActionLog
from recsys.data.feedback_source import FeedbackLog
from recsys.errors import RequestError
from recsys.replay.estimator import Estimator
from recsys.replay.marginal import Marginal


@dataclass(frozen=True)
class ByColumn:
    """An estimator with `Marginal` weights: actions alike in a column of the log's table of actions are one cluster.

    Args:
        make: an estimator of the weights `weights`, such as the class `IPS`.
        column: of the table of actions, such as a category; actions without one are a cluster of their own together.
    """

    make: Callable[..., Estimator[Any]]
    column: str | None

    def of(self, log: FeedbackLog | None) -> Estimator[Any]:
        """The estimator for one log.

        Raises:
            RequestError: the log is not of single actions, or has no such column.

        >>> import polars as pl
        >>> from recsys.replay.importance import IPS
        >>> actions = pl.DataFrame({"action": [3, 5, 8], "kind": ["tie", "hat", "tie"]})
        >>> ByColumn(IPS, "kind").of(ActionLog("log", pl.LazyFrame(), actions, 0, ""))
        IPS(weights=Marginal(clusters=(1, 0, 1)))
        """
        if not isinstance(log, ActionLog):
            raise RequestError("clusters are of actions, and this is no log of single actions")
        features = [name for name in log.actions.columns if name != "action"]
        if self.column not in features:
            there = f"it has {', '.join(features)}" if features else "give the log a table with one (log.actions)"
            raise RequestError(
                f"clusters stand in a column of the table of actions (log.clusters), and {self.column!r} is none: "
                f"{there}"
            )
        clusters = log.actions[self.column].rank("dense").fill_null(0)
        numbers = clusters.rank("dense").cast(int) - 1
        return self.make(weights=Marginal(numbers.to_list()))
