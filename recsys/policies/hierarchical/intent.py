"""The high level: what is believed of a user's intent when a session begins."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from recsys.policies.hierarchical.session_summaries import session_summaries
from recsys.ranges import above, at_least
from recsys.types.session_context import SessionContext


class IntentNetwork(nn.Module):
    """How likely a user wants novelty `g` in the session that begins, `g` one of `B` bins of (0, 1).

    The propensity `m = σ(static + dynamic)` adds a linear function of the user's profile and one of a recurrent state
    over summaries of earlier sessions (`session_summaries`); either can be left out. Around it lie two distributions of
    the form `p(g) ∝ g^{c m} (1 − g)^{c (1 − m)}`, Beta densities at the middles of the bins with the mode `m`: the
    belief of what users want, and the policy `π_h` that acts on it. They have concentrations `c` of their own, because
    a policy does well to be surer than it knows.

    Args:
        vectors: of all items, unit length.
        profile: numbers of a profile.
        bins: `B`, at least 2.
        sessions: earlier sessions that are read.
        window: of the realised novelty.
        hidden: width of the recurrent state.
        static: whether the profile is read.
        dynamic: whether earlier sessions are read.
        concentration: `c` of `π_h` before training, above 0; that of the belief begins at 3.
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
        concentration: float = 3.0,
    ) -> None:
        at_least(2, bins=bins)
        at_least(1, profile=profile, sessions=sessions, window=window, hidden=hidden)
        above(0, concentration=concentration)
        super().__init__()
        self.register_buffer("vectors", vectors)
        self.register_buffer("middles", (torch.arange(bins) + 0.5) / bins)
        self.sessions = sessions
        self.window = window
        self.static = nn.Linear(profile, 1) if static else None
        self.recurrent = nn.GRU(3, hidden, batch_first=True) if dynamic else None
        self.dynamic = nn.Linear(hidden, 1) if dynamic else None
        self.log_concentration = nn.Parameter(torch.tensor(math.log(concentration)))
        self.log_belief_concentration = nn.Parameter(torch.tensor(math.log(3.0)))

    def propensity(self, context: SessionContext) -> Float[Tensor, " B"]:
        """Return `m`, in (0, 1): what the policy takes the user's intent for."""
        total = torch.zeros(len(context), device=self.middles.device)
        if self.static is not None:
            total = total + self.static(context.profile).squeeze(-1)
        if self.recurrent is not None and self.dynamic is not None:
            _, state = self.recurrent(session_summaries(context, self.vectors, self.sessions, self.window))
            total = total + self.dynamic(state[0]).squeeze(-1)
        return total.sigmoid()

    @override
    def forward(self, context: SessionContext) -> Float[Tensor, "B bins"]:
        """Return `log π_h` of each bin, nats."""
        return self._around(self.propensity(context), self.log_concentration)

    def belief(self, context: SessionContext) -> Float[Tensor, "B bins"]:
        """Return the log-probability of each bin before anything of the session is seen, nats."""
        return self._around(self.propensity(context), self.log_belief_concentration)

    def _around(self, mode: Float[Tensor, " B"], log_concentration: Tensor) -> Float[Tensor, "B bins"]:
        mode, middles = mode.unsqueeze(1), self.middles
        log_density = mode * middles.log() + (1 - mode) * (1 - middles).log()
        return (log_concentration.exp() * log_density).log_softmax(-1)
