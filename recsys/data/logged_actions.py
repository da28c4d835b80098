"""Rounds of a log in which one action was chosen and earned something."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class LoggedActions:
    """`n` rounds, of `A` actions.

    Args:
        request: `[n]`, rows of the log that they are, from 0.
        action: `[n]`, what was chosen, in `0 … A − 1`.
        reward: `[n]`, what it earned.
        propensity: `[n]`, in (0, 1], with which the logging policy chose it; None where the log does not say.
        user: `[n]`, whose rounds depend on each other, from 0; None where each round stands alone.
        logger: `[n]`, which logging policy it was, from 0; None where there was one.
        context: `[n, F]`, what was known before; None where the log does not say.
        candidates: `[n, A]`, true at what could have been chosen; None where everything could.
    """

    request: Int[Tensor, " n"]
    action: Int[Tensor, " n"]
    reward: Float[Tensor, " n"]
    propensity: Float[Tensor, " n"] | None = None
    user: Int[Tensor, " n"] | None = None
    logger: Int[Tensor, " n"] | None = None
    context: Float[Tensor, "n F"] | None = None
    candidates: Bool[Tensor, "n A"] | None = None

    def __len__(self) -> int:
        return len(self.action)
