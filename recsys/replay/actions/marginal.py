"""Marginalised importance weights over clusters of actions (MIPS, OffCEM)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from recsys.data.logs.actions import ActionLog
from recsys.data.logs.feedback_source import FeedbackLog
from recsys.errors import RequestError
from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.weights import Weights
from recsys.replay.estimator import Estimator


@dataclass(frozen=True)
class MarginalWeights(Weights[BanditBatch]):
    """Importance weights of clusters of actions, `π(c | x) / p(c | x)`, with `c` the cluster of the logged action.

    The probability of a cluster is the sum over its actions. A weight is the mean of the plain weights over the cluster
    under `p`, so it varies less.

    `IPS(MarginalWeights(…))` is marginalised inverse propensity scoring (MIPS): unbiased if the reward depends on the
    action through its cluster only and `p(c | x) > 0` wherever `π(c | x) > 0`; single actions need no support.
    `SNIPS(MarginalWeights(…))` divides by the sum of weights. `DR(MarginalWeights(…))` is OffCEM, which leaves the
    differences within a cluster to a reward model: unbiased if the model has these differences right, however wrong its
    level is. Sources: Saito and Joachims 2022, "Off-policy evaluation for large action spaces via embeddings"; Saito,
    Ren, Joachims 2023, "Off-policy evaluation for large action spaces via conjunct effect modeling".

    Args:
        clusters: cluster of each action, from 0; of several categories, one number for each combination.

    >>> rounds = BanditBatch(
    ...     *map(torch.tensor, ([0], [1.0], [0.1], [0.6])),
    ...     logging_all=torch.tensor([[0.1, 0.3, 0.6]]),
    ...     target_all=torch.tensor([[0.6, 0.2, 0.2]]),
    ... )
    >>> MarginalWeights((0, 0, 1))(rounds)  # .8 / .4, where the plain weight is 6
    tensor([2.])
    """

    clusters: Sequence[int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "clusters", tuple(self.clusters))

    @override
    def __call__(self, rounds: BanditBatch) -> Float[Tensor, " n"]:
        logging, target = rounds.need("logging_all"), rounds.need("target_all")
        if logging.shape[1] != len(self.clusters):
            raise RequestError(
                f"{len(self.clusters)} actions have a cluster, and the log has {logging.shape[1]} actions"
            )
        clusters = torch.tensor(self.clusters, device=rounds.action.device)
        of_logged = clusters[rounds.action].unsqueeze(1)
        alike = clusters == of_logged
        return (target * alike).sum(1) / (logging * alike).sum(1)


@dataclass(frozen=True)
class ClusteredEstimator:
    """An estimator with `MarginalWeights`, whose clusters are read from a column of the log's table of actions.

    Args:
        make: returns an estimator with the weights `weights`, such as the class `IPS`.
        column: column of the table of actions, such as a category; actions without a value form one cluster.
    """

    make: Callable[..., Estimator[Any]]
    column: str | None

    def of(self, log: FeedbackLog | None) -> Estimator[Any]:
        """Return the estimator for one log.

        Raises:
            RequestError: the log is not of single actions, or its table of actions has no such column.

        >>> import polars as pl
        >>> from recsys.replay.actions.importance import IPS
        >>> actions = pl.DataFrame({"action": [3, 5, 8], "kind": ["tie", "hat", "tie"]})
        >>> ClusteredEstimator(IPS, "kind").of(ActionLog("log", pl.LazyFrame(), actions, 0, ""))
        IPS(weights=MarginalWeights(clusters=(1, 0, 1)))
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
        return self.make(weights=MarginalWeights(numbers.to_list()))
