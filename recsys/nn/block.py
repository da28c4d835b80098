"""The transformer block."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from recsys.nn.attention import SelfAttention
from recsys.nn.dropout import Dropout
from recsys.nn.feed_forward import SwiGLU


class Block(nn.Module):
    """Pre-normalised transformer block: `x + attention(norm(x))`, then `x + feed_forward(norm(x))`.

    The norm is RMSNorm (Zhang and Sennrich 2019); what is added to the residual stream passes through dropout.

    Args:
        width: `D`.
        heads: attention heads.
        hidden: hidden width of the feed-forward network; None as in `SwiGLU`.
        dropout: probability, in `[0, 1)`.
        rotary: rotary positions in the attention.
    """

    def __init__(
        self, width: int, heads: int, hidden: int | None = None, dropout: float = 0.0, rotary: bool = False
    ) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(width)
        self.attention = SelfAttention(width, heads, dropout, rotary)
        self.feed_forward_norm = nn.RMSNorm(width)
        self.feed_forward = SwiGLU(width, hidden, dropout)
        self.dropout = Dropout(dropout)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Causal over rows that are flush left; the padding behind them holds arbitrary values."""
        x = x + self.attention(self.attention_norm(x))
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
