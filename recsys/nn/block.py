"""The transformer block."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from recsys.nn.dropout import Dropout
from recsys.nn.feed_forward import SwiGLU

EPSILON = 1e-6
"""Added to the mean square under the root of every RMSNorm, as T5 does."""


class Block(nn.Module):
    """Pre-normalised transformer block: `x + attention(norm(x))`, then `x + feed_forward(norm(x))`.

    The norm is RMSNorm (Zhang and Sennrich 2019); what is added to the residual stream passes through dropout.

    Args:
        width: `D`.
        attention: from `D` to `D`, with its own dropout.
        hidden: hidden width of the feed-forward network; None as in `SwiGLU`.
        dropout: probability, in `[0, 1)`.
    """

    def __init__(self, width: int, attention: nn.Module, hidden: int | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(width, EPSILON)
        self.attention = attention
        self.feed_forward_norm = nn.RMSNorm(width, EPSILON)
        self.feed_forward = SwiGLU(width, hidden, dropout)
        self.dropout = Dropout(dropout)

    def forward(self, x: Float[Tensor, "... D"], *layout: Any) -> Float[Tensor, "... D"]:
        """`x` after both halves; `layout` (bias, packing) goes to the attention as it is."""
        x = x + self.attention(self.attention_norm(x), *layout)
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
