"""The low level: what items are worth to a user with a given intent."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from recsys.metrics.diversity import distance_to_history
from recsys.policies.hierarchical.session_summaries import recent_vectors
from recsys.ranges import at_least
from recsys.types.session_context import SessionContext


class ConditionedScorer(nn.Module):
    """`q(s)ᵀ v_a + b_a + w(g) · novelty(a)`, with `q = k · m / ‖m‖ + f(s)` and `w(g) = w_0 + w_1 (2g − 1)`.

    `m` is the mean vector of the last items consumed; `f` is a network of it, of the vector of the latest and of the
    profile, and begins at 0. The novelty of an item is its distance to the nearest of the last items
    (`distance_to_history`). Scores of the catalogue take memory for `B × window × N` numbers.

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
        self.affinity = nn.Parameter(torch.tensor(3.0))
        self.query = nn.Sequential(nn.Linear(2 * width + profile, hidden), nn.Tanh(), nn.Linear(hidden, width))
        for part in self.query[2].parameters():
            nn.init.zeros_(part)
        self.bias = nn.Parameter(torch.zeros(len(vectors)))
        self.novelty = nn.Parameter(torch.tensor([0.0, 8.0]))

    def parts(
        self, context: SessionContext, items: Int[Tensor, "B K"] | None = None
    ) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K"]]:
        """Return what the intent does not change of the score of each item, and its novelty.

        Args:
            context: `B` requests.
            items: of each request; None for the catalogue in its order. Whatever stands for −1 means nothing.
        """
        had, known = recent_vectors(context, self.vectors, self.window)
        mean = had.sum(1) / known.sum(1, keepdim=True).clamp(min=1)
        query = self.affinity * normalize(mean, dim=1) + self.query(torch.cat([mean, had[:, -1], context.profile], -1))
        if items is None:
            vectors, base = self.vectors.unsqueeze(0), query @ self.vectors.T + self.bias
        else:
            index = items.clamp(min=0)
            vectors = self.vectors[index]
            base = (vectors @ query.unsqueeze(-1)).squeeze(-1) + self.bias[index]
        return base, distance_to_history(vectors, had, known)

    def weight(self, intent: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Return `w(g)`."""
        return self.novelty[0] + self.novelty[1] * (2 * intent - 1)
