"""Requests of a log that were answered with slates, and what the slots earned."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from recsys.data.context import Context


@dataclass(frozen=True)
class LoggedSlates:
    """`n` requests, slates of up to `S` slots, flush left.

    Args:
        request: `[n]`, rows of the log that they are, from 0.
        items: `[n, S]`, item indices, −1 in empty slots.
        reward: `[n, S]`, what each slot earned, 0 in empty slots; a log that has one reward a slate has it in slot 0.
        propensity: `[n]`, in (0, 1], of each whole slate under the logging policy.
        prefix: `[n, S]`, of each slot given the slots before it, 1 in empty slots.
        slot: `[n, S]`, of each item at its slot, whatever else is in the slate, 1 in empty slots.
        user: `[n]`, whose requests depend on each other, from 0; None where each stands alone.
        context: what the policy saw; None where the log does not say.
        by_slot: whether each slot has a reward of its own.
    """

    request: Int[Tensor, " n"]
    items: Int[Tensor, "n S"]
    reward: Float[Tensor, "n S"]
    propensity: Float[Tensor, " n"] | None = None
    prefix: Float[Tensor, "n S"] | None = None
    slot: Float[Tensor, "n S"] | None = None
    user: Int[Tensor, " n"] | None = None
    context: Context | None = None
    by_slot: bool = True

    def __len__(self) -> int:
        return len(self.items)
