"""Target policies that depend on the position alone, such as those that wrote the Open Bandit Dataset."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.data.logs.actions import ActionLog
from recsys.data.logs.batches import LoggedActions
from recsys.data.sources.open_bandit import POSITIONS
from recsys.errors import RequestError
from recsys.replay.targets.actions import TargetPolicy


@dataclass(frozen=True, eq=False)
class PositionPolicy(TargetPolicy):
    """A policy whose probabilities depend on the position alone, for logs whose context begins with the position.

    Args:
        name: name of the policy in reports.
        probability: `[A, K]`, probability of each item at each position; columns sum to 1.
    """

    name: str
    probability: Float[Tensor, "A K"]

    def target(self, batch: LoggedActions) -> Float[Tensor, " n"]:
        """`[n]`, `π(a | x)` of what was chosen."""
        return self.probability[batch.action, positions(batch, self.probability.shape[1])]

    def target_all(self, batch: LoggedActions) -> Float[Tensor, "n A"]:
        """`[n, A]`, `π(· | x)`."""
        return self.probability.T[positions(batch, self.probability.shape[1])]


def average_policy(log: ActionLog, count: int = POSITIONS) -> Float[Tensor, "A K"]:
    """Return the share of each item among the rounds of each position, `[A, K]`: the log's policy on average.

    It is unbiased for the mean of the policy's own probabilities over the log. `bts` changed all week: the logged
    propensity of one item at one position takes hundreds of values, and the published prior counts agree with the first
    hour only. An estimate of this policy's value on the other log is therefore `bts`'s own value if clicks depend on
    item and position but not on time. It carries the noise of these shares, which intervals do not contain: with 10,000
    rounds, an item with probability .01 at a position has a share of .01 ± .0017.

    Args:
        log: a log whose context begins with `count` indicators of the position.
        count: `K`, number of positions.
    """
    shown = torch.zeros(log.num_actions, count, dtype=torch.float64)
    for batch in log.batches():
        place = (batch.action, positions(batch, count))
        shown.index_put_(place, torch.ones(len(batch), dtype=torch.float64), accumulate=True)
    return shown / shown.sum(0)


def positions(batch: LoggedActions, count: int) -> Int[Tensor, " n"]:
    """Return the position of each round, from 0.

    Raises:
        RequestError: the context does not begin with `count` numbers of which one is 1 and the others are 0.
    """
    first = None if batch.context is None else batch.context[:, :count]
    if (
        first is None
        or first.shape[1] < count
        or not bool(((first == 1).sum(1) == 1).all() & (first.sum(1) == 1).all())
    ):
        raise RequestError(f"the log's context does not begin with {count} numbers that say which position it was")
    return first.argmax(1)
