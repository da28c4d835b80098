"""Checks summed beside the estimators: inverse propensities, clipping and weight tails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from recsys.data.logs.actions import ActionLog
from recsys.data.logs.feedback_source import FeedbackLog
from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.importance import IPS
from recsys.replay.actions.weights import Clip
from recsys.replay.estimator import Estimator, Terms
from recsys.replay.runner import PLAIN, ReplayRun


@dataclass(frozen=True)
class InversePropensityTerms(Terms[BanditBatch]):
    """The terms `(1, 1 / p)` of a round."""

    @override
    def __call__(self, batch: BanditBatch) -> Float[Tensor, "n 2"]:
        inverse = 1 / batch.logging.double()
        return torch.stack([torch.ones_like(inverse), inverse], 1)


@dataclass(frozen=True)
class InversePropensity(Estimator[BanditBatch]):
    """Estimate the mean inverse propensity, `Σ (1 / p) / n`.

    Its expectation is the mean number of actions with a positive probability under the logging policy, if the
    propensities are right.

    >>> rounds = BanditBatch(*map(torch.tensor, ([0, 1], [1.0, 1.0], [0.5, 0.5], [0.5, 0.5])))
    >>> float(InversePropensity().value(InversePropensity().terms(rounds).sum(0)))
    2.0
    """

    @property
    @override
    def terms(self) -> InversePropensityTerms:
        return InversePropensityTerms()

    @override
    def weight(self, batch: BanditBatch) -> Float[Tensor, " n"]:
        return 1 / batch.logging.double()

    @override
    def value(self, totals: Float[Tensor, "*R 2"]) -> Float[Tensor, "*R"]:
        count, inverse = totals.unbind(-1)
        return inverse / count


CLIP_LIMITS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
"""Limits at which weights are clipped, to see which weights an estimate rests on."""

CLIP = "clip/"
INVERSE_PROPENSITY = "1/p"
"""Names of the checks."""


def diagnostic_estimators(logs: Mapping[str, FeedbackLog]) -> dict[str, Any]:
    """Return the diagnostic estimators of logs of single actions, by name.

    They are IPS clipped at each of `CLIP_LIMITS`, named `clip/<limit>`, and the mean of `1/p`. There are none if one of
    the logs is of slates or episodes.
    """
    if not all(isinstance(one, ActionLog) for one in logs.values()):
        return {}
    clipped: dict[str, Any] = {f"{CLIP}{limit:g}": IPS(Clip(limit)) for limit in CLIP_LIMITS}
    return clipped | {INVERSE_PROPENSITY: InversePropensity()}


def weight_tails(replayed: Sequence[ReplayRun]) -> pl.DataFrame:
    """Return the distribution of the plain weights of each policy and log.

    The columns are `policy`, `log`, `weight` (a size), `rounds` (share of the rounds whose weight is at least that
    size), and `weight_share` (their share of the sum of weights). Runs without plain weights are left out.
    """
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
            "weight_share": above[rows, 1] / weights.total,
        }
        frame = pl.DataFrame({name: column.numpy() for name, column in columns.items()})
        parts.append(frame.select(pl.lit(one.policy).alias("policy"), pl.lit(one.log).alias("log"), pl.all()))
    return pl.concat(parts) if parts else pl.DataFrame()
