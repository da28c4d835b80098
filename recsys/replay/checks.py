"""What is summed beside the estimators, to see how far they can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from recsys.data.action_log import ActionLog
from recsys.data.feedback_source import FeedbackLog
from recsys.replay.importance import IPS
from recsys.replay.propensity_check import InversePropensity
from recsys.replay.replayed import PLAIN, Replayed
from recsys.replay.weights import Clip

LIMITS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
"""Where weights are clipped to see what the estimate rests on."""

CLIP = "clip/"
PROPENSITIES = "1/p"
"""Names of the checks."""


def checks(logs: Mapping[str, FeedbackLog]) -> dict[str, Any]:
    """For rounds of one action: IPS clipped at each of `LIMITS`, and what one over the propensities averages."""
    if not all(isinstance(one, ActionLog) for one in logs.values()):
        return {}
    clipped: dict[str, Any] = {f"{CLIP}{limit:g}": IPS(Clip(limit)) for limit in LIMITS}
    return clipped | {PROPENSITIES: InversePropensity()}


def tails(replayed: Sequence[Replayed]) -> pl.DataFrame:
    """Of each policy and log the share of rounds whose weight is at least of a size, and the share of all weight."""
    parts = []
    for one in replayed:
        weights = one.found.weights.get(PLAIN)
        if weights is None or not weights.total:
            continue
        above = weights.sizes.flip(0).cumsum(0).flip(0)
        shown = (weights.sizes[:, 0] > 0).nonzero().flatten()
        rows = slice(int(shown.min()), int(shown.max()) + 1)
        columns = {
            "weight": weights.edges[rows],
            "rounds": above[rows, 0] / weights.rows,
            "mass": above[rows, 1] / weights.total,
        }
        frame = pl.DataFrame({name: column.numpy() for name, column in columns.items()})
        parts.append(frame.select(pl.lit(one.policy).alias("policy"), pl.lit(one.log).alias("log"), pl.all()))
    return pl.concat(parts) if parts else pl.DataFrame()
