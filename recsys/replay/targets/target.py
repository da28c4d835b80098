"""The contract of policies that are judged on rounds of one action."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from recsys.data.logged_actions import LoggedActions


@runtime_checkable
class Target(Protocol):
    """Knows how probable actions would have been."""

    def target(self, batch: LoggedActions) -> Float[Tensor, " n"]:
        """`π(a | x)` of each round's own action, float64."""
        ...

    def target_all(self, batch: LoggedActions) -> Float[Tensor, "n A"]:
        """`π(· | x)` of each round, float64; each row sums to 1.

        Raises:
            RequestError: it knows the logged actions' probabilities only.
        """
        ...
