"""Rewards and propensities of the slates that were shown."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Feedback:
    """Rewards of shown slates and the probability with which they were shown.

    Args:
        reward: `[B, G]` (a slate) or `[B, G, S]` (a slot).
        propensity: `[B, G]`, in (0, 1]: the probability with which the logging policy chose each slate; None where it
            was not recorded.
    """

    reward: Float[Tensor, "B G *S"]
    propensity: Float[Tensor, "B G"] | None = None
