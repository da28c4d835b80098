"""The high level: what is believed of a user's intent when a session begins."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus
from typing_extensions import override

from recsys.policies.hierarchical.session_summaries import session_summaries
from recsys.ranges import at_least
from recsys.types.session_context import SessionContext


class IntentNetwork(nn.Module):
    """The high level: how likely a user wants novelty `g` in the session that begins, `g` one of `B` bins of (0, 1).

    `π_h(g_b) ∝ g_b^{c m} (1 − g_b)^{c (1 − m)}`, a Beta density at the middles of the bins, with the mode
    `m = σ(static + dynamic)`. `static` is a network of the user's profile, `dynamic` one of a recurrent state over the
    summaries of earlier sessions (`session_summaries`); either can be left out.

    Args:
        vectors: of all items, unit length.
        profile: numbers of a profile.
        bins: `B`, at least 2.
        sessions: earlier sessions that are read.
        window: of the realised novelty.
        hidden: width of both networks.
        static: whether the profile is read.
        dynamic: whether earlier sessions are read.
    """

    vectors: Tensor
    middles: Tensor

    def __init__(
        self,
        vectors: Float[Tensor, "N D"],
        profile: int,
        bins: int = 11,
        sessions: int = 5,
        window: int = 10,
        hidden: int = 16,
        static: bool = True,
        dynamic: bool = True,
    ) -> None:
        at_least(2, bins=bins)
        at_least(1, profile=profile, sessions=sessions, window=window, hidden=hidden)
        super().__init__()
        self.register_buffer("vectors", vectors)
        self.register_buffer("middles", (torch.arange(bins) + 0.5) / bins)
        self.sessions = sessions
        self.window = window
        self.static = _scored(profile, hidden) if static else None
        self.recurrent = nn.GRU(vectors.shape[1] + 2, hidden, batch_first=True) if dynamic else None
        self.dynamic = nn.Linear(hidden, 1) if dynamic else None
        self.sharpness = nn.Parameter(torch.tensor(1.0))

    def propensity(self, context: SessionContext) -> Float[Tensor, " B"]:
        """Return `m`, in (0, 1): what the policy takes the user's intent for."""
        total = torch.zeros(len(context), device=self.middles.device)
        if self.static is not None:
            total = total + self.static(context.profile).squeeze(-1)
        if self.recurrent is not None and self.dynamic is not None:
            summaries = session_summaries(context, self.vectors, self.sessions, self.window)
            _, state = self.recurrent(summaries)
            total = total + self.dynamic(state[0]).squeeze(-1)
        return total.sigmoid()

    @override
    def forward(self, context: SessionContext) -> Float[Tensor, "B bins"]:
        """Return `log π_h` of each bin, nats."""
        mean, middles = self.propensity(context).unsqueeze(1), self.middles
        log_density = mean * middles.log() + (1 - mean) * (1 - middles).log()
        return (softplus(self.sharpness) * len(middles) * log_density).log_softmax(-1)


def _scored(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, 1))
