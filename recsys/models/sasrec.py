"""SASRec: next-item prediction by a causal transformer over items."""

from __future__ import annotations

import math
from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from recsys.data.context import Context
from recsys.data.jagged import Jagged
from recsys.models.history import HistoryEncoder, LearnedPositions, RotaryPositions
from recsys.nn.embedding import Embedding, TorchEmbedding


class SASRec(nn.Module):
    """Self-attentive sequential recommender with one item table for input and output.

    `logits[i] = ⟨state, e_i⟩`; items enter the network as `√D · e_i`. Trained with the full softmax, not with the
    sampled binary loss of the paper. Source: Kang and McAuley 2018, "Self-Attentive Sequential Recommendation", §3.

    Args:
        num_items: `N`.
        width: `D`.
        layers: transformer blocks.
        heads: attention heads a block.
        max_length: items of a history that are read, the latest ones.
        dropout: probability, in `[0, 1)`.
        hidden: hidden width of the feed-forward networks; None as in `SwiGLU`.
        positions: as in `HistoryEncoder`.
        embedding: makes the item table from `{"item": N}` and `D`; a backend whose tables can be shared.
    """

    def __init__(
        self,
        num_items: int,
        width: int = 64,
        layers: int = 2,
        heads: int = 2,
        max_length: int = 100,
        dropout: float = 0.2,
        hidden: int | None = None,
        positions: LearnedPositions | RotaryPositions | None = None,
        embedding: Callable[[dict[str, int], int], Embedding] = TorchEmbedding,
    ) -> None:
        super().__init__()
        self.num_items = num_items
        self.max_length = max_length
        self.embedding = embedding({"item": num_items}, width)
        self.history = HistoryEncoder(width, layers, heads, dropout, max_length, hidden, positions)

    def encode_prefixes(self, context: Context) -> Float[Tensor, "total D"]:
        """State at every position of every history, in the order of `context.history.values`.

        Row `t` of a request has seen its items `0 .. t` and predicts item `t + 1`.

        Raises:
            RequestError: a history is longer than the learned positions (training loaders cut windows).
        """
        return self._states(context.history)

    def encode(self, context: Context) -> Float[Tensor, "B D"]:
        """State after each request's last `max_length` items; zeros, so equal logits, where the history is empty."""
        recent = context.history.last(self.max_length)
        states = self._states(recent)
        known = recent.lengths > 0
        last = states.new_zeros(len(context), self.history.width)
        last[known] = states[recent.offsets[1:][known] - 1]
        return last

    def item_logits(self, states: Float[Tensor, "... D"]) -> Float[Tensor, "... N"]:
        """Logit of every item as the next one."""
        return states @ self.embedding.weight("item").T

    def _states(self, history: Jagged) -> Float[Tensor, "total D"]:
        vectors = self.embedding({"item": history})["item"].values
        return self.history(Jagged(vectors * math.sqrt(self.history.width), history.offsets))
