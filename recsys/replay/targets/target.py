"""The contract of policies that are judged on rounds of one action."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from recsys.data.logged_actions import LoggedActions


@runtime_checkable
class Target(Protocol):
    """Knows how probable the logged actions would have been."""

    def probability(self, logged: LoggedActions) -> Float[Tensor, " n"]:
        """`π(a | x)` of each round's own action, float64."""
        ...


@runtime_checkable
class FullTarget(Target, Protocol):
    """Knows how probable every action would have been."""

    def distribution(self, logged: LoggedActions) -> Float[Tensor, "n A"]:
        """`π(· | x)` of each round, float64; each row sums to 1."""
        ...


class OfDistribution:
    """A target that is given by its distribution."""

    def distribution(self, logged: LoggedActions) -> Float[Tensor, "n A"]:
        """See `FullTarget.distribution`."""
        raise NotImplementedError

    def probability(self, logged: LoggedActions) -> Float[Tensor, " n"]:
        """See `Target.probability`."""
        return self.distribution(logged).gather(1, logged.action.unsqueeze(1)).squeeze(1)
