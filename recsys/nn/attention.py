"""Attention of a sequence to itself and of queries to a memory that is projected once."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from recsys.nn.dropout import Dropout


class Rotary(nn.Module):
    """Rotary positions: turns each pair `(i, i + d/2)` of a query or key by the angle `t · base^(−2i/d)`.

    The inner product of a turned query and key depends on the distance of their positions only.
    Source: Su et al. 2021, "RoFormer", §3.2.

    >>> turned = Rotary(width=2)(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    >>> [round(value, 4) for value in turned[1].tolist()]
    [0.5403, 0.8415]

    Args:
        width: `d`, of one head; even.
        base: ratio of the slowest wavelength to the fastest.
    """

    rate: Tensor

    def __init__(self, width: int, base: float = 10_000.0) -> None:
        super().__init__()
        if width % 2:
            raise ValueError(f"rotary positions turn pairs: the head width must be even, not {width}")
        rate = base ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
        self.register_buffer("rate", rate, persistent=False)

    def forward(self, x: Float[Tensor, "... T d"], start: int = 0) -> Float[Tensor, "... T d"]:
        """`x` with position `start + t` in its row `t`."""
        steps = torch.arange(start, start + x.shape[-2], device=x.device, dtype=self.rate.dtype)
        angle = torch.outer(steps, self.rate)
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        left, right = x.chunk(2, -1)
        return torch.cat([left * cos - right * sin, right * cos + left * sin], -1)


class SelfAttention(nn.Module):
    """Multi-head attention of a padded sequence to itself, without biases.

    Causal unless a bias is given. Rows are flush left, so that no position sees the padding behind its row; what
    stands in the padding is arbitrary and finite, and the caller drops it.
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
        self.rotary = Rotary(inner // heads) if rotary else None

    def project(self, x: Float[Tensor, "B T D"], start: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values `[B, H, T, d]` of positions `start .. start + T − 1`."""
        query, key, value = self.query_key_value(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if self.rotary is not None:
            query, key = self.rotary(query, start), self.rotary(key, start)
        return query, key, value

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None, causal: bool = False
    ) -> Float[Tensor, "B T D"]:
        """What the queries `[B, H, T, d]` gather from keys and values `[B, H, S, d]`, mapped to the width."""
        gathered = F.scaled_dot_product_attention(query, key, value, bias, is_causal=causal, scale=self.scale)
        return self.dropout(self.out(gathered.transpose(1, 2).flatten(2)))

    def forward(
        self, x: Float[Tensor, "B T D"], bias: Float[Tensor, "#B #H T T"] | None = None
    ) -> Float[Tensor, "B T D"]:
        """Attention over the rows.

        Args:
            x: padded rows, flush left.
            bias: added to the logits in place of the causal mask; −inf forbids.
        """
        return self.attend(*self.project(x), bias=bias, causal=bias is None)
