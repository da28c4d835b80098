"""The policy that takes any action, all alike."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.logged_actions import LoggedActions


class Uniform:
    """Every action that could be taken, with equal probability.

    Args:
        num_actions: `A`; the log's.

    >>> logged = LoggedActions(torch.tensor([0]), torch.tensor([2]), torch.tensor([1.0]))
    >>> Uniform(4).target(logged)
    tensor([0.2500], dtype=torch.float64)
    """

    def __init__(self, num_actions: int) -> None:
        self.num_actions = num_actions

    def target_all(self, batch: LoggedActions) -> Float[Tensor, "n A"]:
        """See `Target.target_all`."""
        shape = (len(batch), self.num_actions)
        allowed = torch.ones(shape, dtype=torch.float64) if batch.candidates is None else batch.candidates.double()
        return allowed / allowed.sum(1, keepdim=True)

    def target(self, batch: LoggedActions) -> Float[Tensor, " n"]:
        """See `Target.target`; 0 where the action could not be taken."""
        if batch.candidates is None:
            return torch.full((len(batch),), 1 / self.num_actions, dtype=torch.float64)
        taken = batch.candidates.gather(1, batch.action.unsqueeze(1)).squeeze(1)
        return taken / batch.candidates.sum(1).double()
