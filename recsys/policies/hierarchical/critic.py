"""A critic of requests that come in sessions."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from recsys.policies.hierarchical.session_summaries import session_requests, session_summaries
from recsys.ranges import at_least
from recsys.types.context import Context


class SessionCritic(nn.Module):
    """`V = g(profile, summaries of earlier sessions, log session, log(1 + step))`, in the unit of the reward.

    Args:
        vectors: of all items, unit length.
        profile: numbers of a profile.
        sessions: earlier sessions that are read.
        window: of the realised novelty.
        hidden: width of `g`.
    """

    vectors: Tensor

    def __init__(
        self, vectors: Float[Tensor, "N D"], profile: int, sessions: int = 5, window: int = 10, hidden: int = 32
    ) -> None:
        at_least(1, profile=profile, sessions=sessions, window=window, hidden=hidden)
        super().__init__()
        self.register_buffer("vectors", vectors)
        self.sessions = sessions
        self.window = window
        self.layers = nn.Sequential(nn.Linear(3 * sessions + profile + 2, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    @override
    def forward(self, context: Context) -> Float[Tensor, " B"]:
        """Return the value of each request."""
        seen = session_requests(context, len(self.vectors), "SessionCritic")
        summaries = session_summaries(seen, self.vectors, self.sessions, self.window).flatten(1)
        place = torch.stack([seen.session.log(), seen.step.log1p()], -1).to(summaries.dtype)
        return self.layers(torch.cat([summaries, seen.profile, place], -1)).squeeze(-1)
