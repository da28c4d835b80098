"""Any policy of the house, judged on rounds of one action."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.context import Context
from recsys.data.jagged import Jagged
from recsys.data.logged_actions import LoggedActions
from recsys.data.slates import Slates
from recsys.policies.policy import Policy

FEATURES = "context"
"""The feature under which a policy finds what the log knew of a round."""


class Acting:
    """A policy's probabilities of slates of one slot; actions are its items.

    The policy sees requests without a history, with the log's context as the feature `context`, and the actions that
    could be taken as candidates.

    Args:
        policy: whose items are the log's actions.
        num_actions: `A`.
    """

    def __init__(self, policy: Policy, num_actions: int) -> None:
        self.policy = policy
        self.num_actions = num_actions

    def target_all(self, batch: LoggedActions) -> Float[Tensor, "n A"]:
        """See `Target.target_all`."""
        every = torch.arange(self.num_actions).view(1, -1, 1).expand(len(batch), -1, -1)
        return self._of(batch, every)

    def target(self, batch: LoggedActions) -> Float[Tensor, " n"]:
        """See `Target.target`."""
        return self._of(batch, batch.action.view(-1, 1, 1)).squeeze(1)

    @torch.no_grad()
    def _of(self, batch: LoggedActions, items: Tensor) -> Tensor:
        slates = Slates(items, torch.zeros(items.shape))
        return self.policy.log_prob(request(batch), slates).squeeze(2).double().exp()


def request(logged: LoggedActions) -> Context:
    """Rounds as a policy sees them."""
    nothing = Jagged.empty(len(logged))
    candidates = logged.candidates
    if candidates is not None:
        candidates = Jagged.from_lengths(candidates.nonzero()[:, 1], candidates.sum(1))
    users = torch.arange(len(logged)) if logged.user is None else logged.user
    features = {} if logged.context is None else {FEATURES: logged.context}
    return Context(users, nothing, nothing, candidates=candidates, features=features)
