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
    """Probabilities of every item at every position, judged on logs whose context begins with the position.

    Args:
        name: what reports call the policy.
        probability: `[A, K]`, each column sums to 1.
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
    """`[A, K]`, the share of each item among the rounds of each position: what the log's policy did on average.

    Unbiased for the mean over the log of the policy's own probabilities, which for `bts` moved all week: the logged
    propensity of one item at one position takes hundreds of values, and the published prior counts agree with those of
    the first hour only. So a value of this policy, estimated on the other log, is `bts`'s own value if clicks depend on
    item and position and not on when they were shown; and it carries the noise of these shares, which intervals do not
    show: with 10,000 rounds an item that stands at a position with probability .01 has a share of .01 ± .0017.

    Args:
        log: its context begins with `count` numbers that say which position it was.
        count: `K`.
    """
    shown = torch.zeros(log.num_actions, count, dtype=torch.float64)
    for batch in log.batches():
        place = (batch.action, positions(batch, count))
        shown.index_put_(place, torch.ones(len(batch), dtype=torch.float64), accumulate=True)
    return shown / shown.sum(0)


def positions(batch: LoggedActions, count: int) -> Int[Tensor, " n"]:
    """`[n]`, the position of each round, from 0.

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
