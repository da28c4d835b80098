"""The causal transformer over items that reads a user's history."""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recsys.errors import RequestError
from recsys.nn.attention import SelfAttention
from recsys.nn.dropout import Dropout
from recsys.nn.feed_forward import FeedForward, SwiGLU
from recsys.nn.transformer import EPSILON, TransformerBlock
from recsys.types.jagged import Jagged


class LearnedPositions(nn.Module):
    """A learned vector a position, counted from the start of the row and added to the input.

    Args:
        width: `D`.
        max_length: positions there are vectors for; a longer row is a `RequestError`.
    """

    rotary = False

    def __init__(self, width: int, max_length: int = 100) -> None:
        super().__init__()
        self.max_length = max_length
        self.weight = nn.Parameter(torch.randn(max_length, width) * 0.02)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """`x` with the vector of position `t` added to each row's position `t`."""
        length = x.shape[1]
        if length > self.max_length:
            raise RequestError(
                f"a history of {length} items meets positions learned for {self.max_length}; "
                f"cut it (history.last({self.max_length})), raise max_length, or use RotaryPositions"
            )
        return x + self.weight[:length]


class RotaryPositions(nn.Module):
    """Positions as a rotation of queries and keys: rows of any length, only distances count."""

    rotary = True

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """`x` itself; the blocks turn their queries and keys."""
        return x


class HistoryEncoder(nn.Module):
    """Causal transformer over item vectors: the state at position `t` has seen the items `0 .. t` of its row.

    Dropout on the input and in every block, RMSNorm at the end. Rows are padded inside, so a batch of rows of similar
    length wastes least; results do not depend on which rows share a batch.

    Args:
        width: `D`.
        layers: transformer blocks.
        heads: attention heads a block.
        dropout: probability, in `[0, 1)`.
        max_length: longest row in items; read where `positions` is None.
        positions: `LearnedPositions` or `RotaryPositions`; None takes `LearnedPositions(width, max_length)`.
        feed_forward: makes each block's feed-forward network; None takes `SwiGLU` with `dropout`.
    """

    def __init__(
        self,
        width: int = 64,
        layers: int = 2,
        heads: int = 2,
        dropout: float = 0.2,
        max_length: int = 100,
        positions: LearnedPositions | RotaryPositions | None = None,
        feed_forward: FeedForward | None = None,
    ) -> None:
        super().__init__()
        self.width = width
        self.positions = positions if positions is not None else LearnedPositions(width, max_length)
        rotary = self.positions.rotary
        feed_forward = feed_forward if feed_forward is not None else partial(SwiGLU, dropout=dropout)
        self.blocks = nn.ModuleList(
            TransformerBlock(width, SelfAttention(width, heads, dropout, rotary), feed_forward, dropout)
            for _ in range(layers)
        )
        self.norm = nn.RMSNorm(width, EPSILON)
        self.dropout = Dropout(dropout)

    def forward(self, history: Jagged) -> Float[Tensor, "total D"]:
        """States of all positions, in the order of `history.values` (float, `[ΣT, D]`).

        Raises:
            RequestError: a row is longer than the learned positions.
        """
        if history.values.shape[0] == 0:
            return history.values
        x = self.dropout(self.positions(history.to_padded(0.0)))
        for block in self.blocks:
            x = block(x)
        return self.norm(x[history.row_ids(), history.positions()])
