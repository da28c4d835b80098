"""The policy that takes actions in proportion to what they earned in the other half of the log."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.action_log import ActionLog
from recsys.data.logged_actions import LoggedActions
from recsys.replay.split import in_half, units_of


@dataclass(frozen=True, eq=False)
class Popularity:
    """`π(a) ∝ 1 + Σ r`, over the rounds in which `a` was chosen; negative sums count as 0. Whoever asks.

    A round judges the policy that the other half of the users (of the rounds, where there are none) makes, so that none
    has a part in what it judges: what is estimated is the mean of the two halves' policies.

    Args:
        earned: `[2, A]`, `Σ r` of each half.
    """

    earned: Float[Tensor, "2 A"]

    @classmethod
    def of(cls, log: ActionLog) -> Popularity:
        """Of a log, in one pass over it."""
        earned = torch.zeros(2, log.num_actions, dtype=torch.float64)
        for batch in log.batches():
            for half in (0, 1):
                rows = in_half(units_of(batch), half)
                earned[half].index_add_(0, batch.action[rows], batch.reward[rows].double())
        return cls(earned)

    def target(self, batch: LoggedActions) -> Float[Tensor, " n"]:
        """See `Target.target`."""
        return self.target_all(batch).gather(1, batch.action.unsqueeze(1)).squeeze(1)

    def target_all(self, batch: LoggedActions) -> Float[Tensor, "n A"]:
        """See `Target.target_all`; 0 at what could not be taken."""
        other = in_half(units_of(batch), 0).long()
        liked = 1 + self.earned.clamp(min=0)[other]
        if batch.candidates is not None:
            liked = liked * batch.candidates
        return liked / liked.sum(1, keepdim=True)
