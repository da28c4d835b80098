"""The low level: what items are worth to a user with a given intent."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recsys.metrics.diversity import distance_to_history
from recsys.policies.hierarchical.session_summaries import recent_vectors
from recsys.ranges import at_least
from recsys.types.session_context import SessionContext


class ConditionedScorer(nn.Module):
    """The low level: `f(s)ᵀ v_a + b_a + w(g) · novelty(a)`, with `w(g) = w_0 + w_1 (2g − 1)`.

    `s` is the mean vector of the last items consumed, that of the latest, and the profile; the novelty of an item is
    its distance to the nearest of them (`distance_to_history`).

    Args:
        vectors: of all items, unit length.
        profile: numbers of a profile.
        window: items that are looked back on.
        hidden: width of `f`.
    """

    vectors: Tensor

    def __init__(self, vectors: Float[Tensor, "N D"], profile: int, window: int = 10, hidden: int = 32) -> None:
        at_least(1, profile=profile, window=window, hidden=hidden)
        super().__init__()
        self.register_buffer("vectors", vectors)
        self.window = window
        width = vectors.shape[1]
        self.query = nn.Sequential(nn.Linear(2 * width + profile, hidden), nn.Tanh(), nn.Linear(hidden, width))
        self.bias = nn.Parameter(torch.zeros(len(vectors)))
        self.novelty = nn.Parameter(torch.tensor([0.0, 1.0]))

    def parts(self, context: SessionContext) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N"]]:
        """Return what the intent does not change, and the novelty of every item."""
        had, known = recent_vectors(context, self.vectors, self.window)
        mean = had.sum(1) / known.sum(1, keepdim=True).clamp(min=1)
        query = self.query(torch.cat([mean, had[:, -1], context.profile], -1))
        novelty = distance_to_history(self.vectors.unsqueeze(0), had, known)
        return query @ self.vectors.T + self.bias, novelty

    def weight(self, intent: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Return `w(g)`."""
        return self.novelty[0] + self.novelty[1] * (2 * intent - 1)
