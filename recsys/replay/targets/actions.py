"""The contract of target policies of single actions, with uniform, popularity and adapted policies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from recsys.data.logs.actions import ActionLog
from recsys.data.logs.batches import LoggedActions
from recsys.policies.policy import Policy
from recsys.replay.batch import in_half, units_of
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates


@runtime_checkable
class TargetPolicy(Protocol):
    """A policy that gives the probabilities of the actions of a log."""

    def target(self, batch: LoggedActions) -> Float[Tensor, " n"]:
        """Return `π(a | x)` of each round's logged action, float64; 0 where the action could not be taken."""
        ...

    def target_all(self, batch: LoggedActions) -> Float[Tensor, "n A"]:
        """Return `π(· | x)` of each round, float64; each row sums to 1, with 0 at actions that could not be taken.

        Raises:
            RequestError: the policy knows the probabilities of the logged actions only.
        """
        ...


class UniformActions(TargetPolicy):
    """Take every possible action with equal probability.

    Args:
        num_actions: `A`, number of actions of the log.

    >>> logged = LoggedActions(torch.tensor([0]), torch.tensor([2]), torch.tensor([1.0]))
    >>> UniformActions(4).target(logged)
    tensor([0.2500], dtype=torch.float64)
    """

    def __init__(self, num_actions: int) -> None:
        self.num_actions = num_actions

    @override
    def target_all(self, batch: LoggedActions) -> Float[Tensor, "n A"]:
        shape = (len(batch), self.num_actions)
        allowed = torch.ones(shape, dtype=torch.float64) if batch.candidates is None else batch.candidates.double()
        return allowed / allowed.sum(1, keepdim=True)

    @override
    def target(self, batch: LoggedActions) -> Float[Tensor, " n"]:
        if batch.candidates is None:
            return torch.full((len(batch),), 1 / self.num_actions, dtype=torch.float64)
        taken = batch.candidates.gather(1, batch.action.unsqueeze(1)).squeeze(1)
        return taken / batch.candidates.sum(1).double()


@dataclass(frozen=True, eq=False)
class PopularActions(TargetPolicy):
    """Take actions in proportion to their rewards in the other half of the log, `π(a) ∝ 1 + max(Σ r, 0)`.

    The sum is over the rounds in which `a` was chosen; contexts are ignored. A round evaluates the policy that the
    other half of the users (of the rounds, if there are no users) makes, so that no round evaluates a policy that it
    helped to make; what is estimated is the mean of the values of both policies.

    Args:
        reward_sums: `[2, A]`, `Σ r` of each half.
    """

    reward_sums: Float[Tensor, "2 A"]

    @classmethod
    def of(cls, log: ActionLog) -> PopularActions:
        """Return the policy of a log, after one pass over it."""
        sums = torch.zeros(2, log.num_actions, dtype=torch.float64)
        for batch in log.batches():
            for half in (0, 1):
                rows = in_half(units_of(batch), half)
                sums[half].index_add_(0, batch.action[rows], batch.reward[rows].double())
        return cls(sums)

    @override
    def target(self, batch: LoggedActions) -> Float[Tensor, " n"]:
        return self.target_all(batch).gather(1, batch.action.unsqueeze(1)).squeeze(1)

    @override
    def target_all(self, batch: LoggedActions) -> Float[Tensor, "n A"]:
        other = in_half(units_of(batch), 0).long()
        liked = 1 + self.reward_sums.clamp(min=0)[other]
        if batch.candidates is not None:
            liked = liked * batch.candidates
        return liked / liked.sum(1, keepdim=True)


CONTEXT_FEATURE = "context"
"""Name of the feature of a request that holds the log's context."""


class PolicyAdapter(TargetPolicy):
    """Ask a recommendation policy about single actions: its slates have one slot, and its items are the log's actions.

    The policy sees requests without history, with the log's context as feature `context` and the possible actions as
    candidates.

    Args:
        policy: policy whose items are the log's actions.
        num_actions: `A`.
    """

    def __init__(self, policy: Policy, num_actions: int) -> None:
        self.policy = policy
        self.num_actions = num_actions

    @override
    def target_all(self, batch: LoggedActions) -> Float[Tensor, "n A"]:
        every = torch.arange(self.num_actions).view(1, -1, 1).expand(len(batch), -1, -1)
        return self._of(batch, every)

    @override
    def target(self, batch: LoggedActions) -> Float[Tensor, " n"]:
        return self._of(batch, batch.action.view(-1, 1, 1)).squeeze(1)

    @torch.no_grad()
    def _of(self, batch: LoggedActions, items: Tensor) -> Tensor:
        slates = Slates(items, torch.zeros(items.shape))
        return self.policy.log_prob(request(batch), slates).squeeze(2).double().exp()


def request(logged: LoggedActions) -> Context:
    """Return logged rounds as the requests that a policy sees."""
    nothing = Jagged.empty(len(logged))
    candidates = logged.candidates
    if candidates is not None:
        candidates = Jagged.from_lengths(candidates.nonzero()[:, 1], candidates.sum(1))
    users = torch.arange(len(logged)) if logged.user is None else logged.user
    features = {} if logged.context is None else {CONTEXT_FEATURE: logged.context}
    return Context(users, nothing, nothing, candidates=candidates, features=features)
