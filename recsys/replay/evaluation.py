"""What policies would have earned on logs: every estimate with its interval, and what it is to be trusted for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from recsys.data.feedback_source import FeedbackLog
from recsys.replay.estimates import SCHEMA, estimates
from recsys.replay.options import Policy, ReplayOptions
from recsys.replay.replayed import replay

__all__ = ["SCHEMA", "Policy", "ReplayOptions", "evaluate"]


def evaluate(
    logs: FeedbackLog | Mapping[str, FeedbackLog],
    policies: Mapping[str, Policy],
    estimators: Mapping[str, Any],
    options: ReplayOptions | None = None,
) -> pl.DataFrame:
    """Every policy from every log but its own, by every estimator: one row each, columns as in `SCHEMA`.

    A log that bears a policy's name was written by it: it gives the truth, which the policy's estimates from the other
    logs are compared with (`relative_error`). `doubt` says why a log does not answer, and is empty where it does: the
    figures are there all the same. `chosen` says which estimator a `Slope` or `MAGIC` chose. A value that the sums do
    not define is null.

    Logs are read in batches, once for each policy, in bounded memory unless a model is fitted.

    Args:
        logs: by name, or one; rounds of one action, slates or episodes.
        policies: to be judged, by name.
        estimators: by name.
        options: how; None for the defaults.

    Raises:
        RequestError: a policy has no log but its own, or an estimator needs what is not there.
    """
    options = options or ReplayOptions()
    logs = logs if isinstance(logs, Mapping) else {logs.name: logs}
    return estimates(replay(logs, policies, estimators, options), estimators, options)
