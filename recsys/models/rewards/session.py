"""A reward model of sessions: attention of each item to the history and to the session, and a head a label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from recsys.errors import ConfigurationError
from recsys.items.bundle import ItemBundle
from recsys.nn.attention import CrossAttention, SelfAttention
from recsys.nn.dropout import Dropout
from recsys.nn.packing import Packing
from recsys.ranges import at_least, below_one
from recsys.types.context import Context


class SessionRewardModel(nn.Module):
    """Log-odds of each label for sessions of `S` items.

    The vector of item `i` is `v_i = E_i + W x_i`, learned and from the item vectors of the run. Each item of the
    session attends to the history of the user, `u_i = attention(v_i, history)`, and becomes
    `e_i = W' [v_i ⊙ u_i, v_i, u_i]`. The items of the session attend to each other, and each head is a network of their
    sum. The order of a session has no influence.

    Source: Deng et al. 2025 (OneRec, arXiv 2502.18965), §3.3, which has `e_i = v_i ⊙ u_i`; with `v_i` and `u_i` beside
    it a head sees what an item is worth to everybody.

    Args:
        vectors: `[N, X]`, item vectors; they are not trained and not saved with the weights.
        heads: names of the labels, at least one.
        width: `D`, of the vectors.
        attention_heads: heads of both attentions; `width` is a multiple of it.
        hidden: hidden width of each head.
        dropout: probability, in `[0, 1)`.
        max_length: items of a history that are read, the latest ones.

    Raises:
        ConfigurationError: a size is below 1, or a head is named twice or not at all.
    """

    vectors: Tensor

    def __init__(
        self,
        vectors: Float[Tensor, "N X"],
        heads: Sequence[str],
        width: int = 64,
        attention_heads: int = 2,
        hidden: int = 64,
        dropout: float = 0.1,
        max_length: int = 50,
    ) -> None:
        _check_sizes(width, attention_heads, hidden, dropout, max_length)
        if not heads or len(set(heads)) < len(heads):
            raise ConfigurationError(f"heads={list(heads)}: expected at least one label, each named once")
        super().__init__()
        self.heads = tuple(heads)
        self.max_length = max_length
        scaled = vectors / vectors.square().mean().sqrt().clamp(min=1e-12)
        self.register_buffer("vectors", scaled, persistent=False)
        self.embedding = nn.Embedding(len(vectors), width)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.from_vectors = nn.Linear(vectors.shape[1], width)
        self.to_history = CrossAttention(width, attention_heads)
        self.joined = nn.Linear(3 * width, width)
        self.norm = nn.LayerNorm(width)
        self.to_session = SelfAttention(width, attention_heads)
        self.dropout = Dropout(dropout)
        self.towers = nn.ModuleList(
            nn.Sequential(nn.Linear(width, hidden), nn.SiLU(), Dropout(dropout), nn.Linear(hidden, 1)) for _ in heads
        )

    @classmethod
    def from_bundle(
        cls,
        bundle: ItemBundle,
        heads: Sequence[str],
        width: int = 64,
        attention_heads: int = 2,
        hidden: int = 64,
        dropout: float = 0.1,
        max_length: int = 50,
    ) -> SessionRewardModel:
        """Return a fresh model of the items of a run; arguments as in the class."""
        _check_sizes(width, attention_heads, hidden, dropout, max_length)
        return cls(bundle.vectors, heads, width, attention_heads, hidden, dropout, max_length)

    @override
    def forward(self, context: Context, items: Int[Tensor, "B G S"]) -> Float[Tensor, "B G H"]:
        """Return the log-odds of each of the `H` labels.

        Args:
            context: the requests; only their histories are read.
            items: sessions; a slot without an item (−1) adds nothing, and a session without any has the log-odds of
                nothing shown.
        """
        key, value, mask = self._history(context)
        requests, candidates, slots = items.shape
        own = self._items(items.clamp(min=0))
        asked = own.flatten(1, 2)
        told = self.to_history(asked, key, value, mask)
        x = self.dropout(self.joined(torch.cat([asked * told, asked, told], -1))).view(own.shape).flatten(0, 1)
        present = (items >= 0).flatten(0, 1)
        bias = x.new_zeros(present.shape).masked_fill(~present, float("-inf"))
        bias = bias.masked_fill(~present.any(-1, keepdim=True), 0.0)[:, None, None].expand(-1, -1, slots, -1)
        x = x + self.to_session(self.norm(x), bias)
        summed = (x * present.unsqueeze(-1)).sum(1)
        towers = cast(Sequence[nn.Module], self.towers)
        return torch.cat([tower(summed) for tower in towers], -1).view(requests, candidates, len(towers))

    def _items(self, items: Int[Tensor, "*items"]) -> Float[Tensor, "*items D"]:
        return self.embedding(items) + self.from_vectors(self.vectors[items])

    def _history(self, context: Context) -> tuple[Tensor, Tensor, Tensor]:
        """Return keys, values and mask of the histories; an empty one leaves one key of zeros."""
        recent = context.history.last(self.max_length)
        packing = Packing.of(recent, torch.arange(len(recent), device=recent.values.device))
        key, value = self.to_history.project(self._items(recent.values), packing)
        return key, value, packing.mask()[:, None, None]


def _check_sizes(width: int, attention_heads: int, hidden: int, dropout: float, max_length: int) -> None:
    at_least(1, width=width, attention_heads=attention_heads, hidden=hidden, max_length=max_length)
    below_one(dropout=dropout)
