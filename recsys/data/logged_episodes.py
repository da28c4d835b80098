"""Episodes of a log: actions one after the other, each with its reward."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class LoggedEpisodes:
    """`n` episodes of up to `T` steps, flush left, of `A` actions.

    Args:
        episode: `[n]`, the number of each in the log, from 0.
        action: `[n, T]`, in `0 … A − 1`; anything after the end.
        reward: `[n, T]`; 0 after the end.
        propensity: `[n, T]`, in (0, 1], with which the logging policy chose the action; 1 after the end.
        there: `[n, T]`, true at steps that the episode has.
        context: `[n, T, F]`, the state before each action; None where the log does not say.
        done: `[n]`, true where the episode ended after its last step, false where the log was cut off; None where all
            ended.
    """

    episode: Int[Tensor, " n"]
    action: Int[Tensor, "n T"]
    reward: Float[Tensor, "n T"]
    propensity: Float[Tensor, "n T"]
    there: Bool[Tensor, "n T"]
    context: Float[Tensor, "n T F"] | None = None
    done: Bool[Tensor, " n"] | None = None

    def __len__(self) -> int:
        return len(self.action)
