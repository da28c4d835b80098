"""Attention of a sequence to itself and of queries to a memory that is projected once."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from recsys.nn.dropout import Dropout
from recsys.nn.packing import Packing
from recsys.nn.positions import RotaryEmbedding


class SelfAttentionMaps(nn.Module):
    """The linear maps of multi-head self-attention, without biases, and the attention between them.

    There is no dropout on the attention weights: it takes the fused kernels away and doubles the time of a step on a
    CPU. Dropout is on what attention adds to the residual stream.

    Args:
        width: `D`, of input and output.
        heads: `H`.
        dropout: probability of dropping an output value, in `[0, 1)`.
        rotary: turn queries and keys by their positions, counted from the start of the row.
        head_width: `d`, of one head; None takes `width / heads`.
        scale: factor on the logits; None takes `1/√d`, T5 takes 1.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        dropout: float = 0.0,
        rotary: bool = False,
        head_width: int | None = None,
        scale: float | None = None,
    ) -> None:
        super().__init__()
        if head_width is None and width % heads:
            raise ValueError(f"width {width} is not a multiple of {heads} heads; give head_width")
        self.heads = heads
        self.scale = scale
        inner = heads * (head_width or width // heads)
        self.query_key_value = nn.Linear(width, 3 * inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)
        self.dropout = Dropout(dropout)
        self.rotary = RotaryEmbedding(inner // heads) if rotary else None

    def project(self, x: Float[Tensor, "B T D"], start: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values `[B, H, T, d]` of positions `start .. start + T − 1`."""
        return self.split(self.query_key_value(x), start)

    def split(self, projected: Float[Tensor, "B T three_inner"], start: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values `[B, H, T, d]` from the output of `query_key_value`."""
        query, key, value = projected.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if self.rotary is not None:
            query, key = self.rotary(query, start), self.rotary(key, start)
        return query, key, value

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None, causal: bool = False
    ) -> Float[Tensor, "B T inner"]:
        """What the queries `[B, H, T, d]` gather from keys and values `[B, H, S, d]`, heads side by side."""
        gathered = F.scaled_dot_product_attention(query, key, value, bias, is_causal=causal, scale=self.scale)
        return gathered.transpose(1, 2).flatten(2)

    def combine(self, gathered: Float[Tensor, "... inner"]) -> Float[Tensor, "... D"]:
        """The heads mapped to the width, through dropout."""
        return self.dropout(self.out(gathered))


class SelfAttention(SelfAttentionMaps):
    """Attention of padded rows to themselves, causal unless a bias is given; arguments as in `SelfAttentionMaps`.

    Rows are flush left, so that no position sees the padding behind its row; what stands in the padding is arbitrary
    and finite, and the caller drops it.
    """

    def forward(
        self, x: Float[Tensor, "B T D"], bias: Float[Tensor, "#B #H T T"] | None = None
    ) -> Float[Tensor, "B T D"]:
        """Attention over the rows.

        Args:
            x: padded rows, flush left.
            bias: added to the logits in place of the causal mask; −inf forbids.
        """
        return self.combine(self.attend(*self.project(x), bias=bias, causal=bias is None))


class PackedSelfAttention(SelfAttentionMaps):
    """Attention within rows that lie one after the other; arguments as in `SelfAttentionMaps`.

    Rows of one length are attended at once and nothing is padded: a batch of unequal rows costs what its rows cost. On
    a CPU, 256 rows of 4 to 80 positions that fill 46 % of a padded batch take a fifth of its time.
    """

    def forward(
        self,
        x: Float[Tensor, "total D"],
        packing: Packing,
        bias: Float[
            Tensor,
            (
                1  # H T T
            ),
        ],
    ) -> Float[Tensor, "total D"]:
        """Attention within each row.

        Args:
            x: rows one after the other.
            packing: of the rows.
            bias: added to the logits of the longest row, and as much of it as they have positions to those of the
                others.
        """
        if not packing.runs:
            return self.combine(x.new_zeros(0, self.out.in_features))
        parts = self.query_key_value(x).split([count * length for count, length in packing.runs])
        gathered = [
            self.attend(*self.split(part.unflatten(0, run)), bias[..., : run[1], : run[1]]).flatten(0, 1)
            for part, run in zip(parts, packing.runs, strict=True)
        ]
        return self.combine(torch.cat(gathered))


class CrossAttention(nn.Module):
    """Multi-head attention of queries to a memory whose keys and values are projected once.

    All queries of a request (beams, candidates, positions) stand in one query axis, so the memory is never copied:
    16 beams over a history of 80 tokens read its keys once where a batch of beams reads 16 copies.

    Args:
        width: `D`, of queries, memory and output.
        heads: `H`.
        dropout: probability of dropping an output value, in `[0, 1)`.
        head_width: `d`, of one head; None takes `width / heads`.
        scale: factor on the logits; None takes `1/√d`, T5 takes 1.
    """

    def __init__(
        self, width: int, heads: int, dropout: float = 0.0, head_width: int | None = None, scale: float | None = None
    ) -> None:
        super().__init__()
        self.heads = heads
        self.scale = scale
        inner = heads * (head_width or width // heads)
        self.query = nn.Linear(width, inner, bias=False)
        self.key_value = nn.Linear(width, 2 * inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)
        self.dropout = Dropout(dropout)

    def project(self, memory: Float[Tensor, "total D"], packing: Packing) -> tuple[Tensor, Tensor]:
        """Keys and values `[B, H, S, d]` of a packed memory."""
        key, value = packing.pad(self.key_value(memory)).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return key, value

    def forward(
        self,
        x: Float[Tensor, "B Q D"],
        key: Float[Tensor, "B H S d"],
        value: Float[Tensor, "B H S d"],
        mask: Bool[Tensor, "B 1 1 S"] | None = None,
    ) -> Float[Tensor, "B Q D"]:
        """What each of a request's `Q` queries gathers from the request's memory; `mask` is true at real keys."""
        query = self.query(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        gathered = F.scaled_dot_product_attention(query, key, value, mask, scale=self.scale)
        return self.dropout(self.out(gathered.transpose(1, 2).flatten(2)))
