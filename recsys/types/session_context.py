"""Requests of users who come back in sessions."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from recsys.types.context import Context


@dataclass(frozen=True, kw_only=True)
class SessionContext(Context):
    """What a policy sees of users who come back in sessions.

    Args:
        profile: `[B, P]`, what is known of each user from elsewhere, without unit.
        session: `[B]`, number of the session from 1.
        step: `[B]`, slates that the session has shown.
        history_sessions: `[B, H]`, session of each item of `history`, of the latest in the last column; 0 for what a
            user came with, −1 before the first.
    """

    profile: Float[Tensor, "B P"]
    session: Int[Tensor, " B"]
    step: Int[Tensor, " B"]
    history_sessions: Int[Tensor, "B H"]
