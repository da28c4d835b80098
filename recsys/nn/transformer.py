"""The transformer blocks of encoders and of decoders."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from recsys.nn.attention import CrossAttention, SelfAttention
from recsys.nn.dropout import Dropout
from recsys.nn.feed_forward import FeedForward, SwiGLU

EPSILON = 1e-6
"""Added to the mean square under the root of every RMSNorm, as T5 does."""


class TransformerBlock(nn.Module):
    """Pre-normalised transformer block: `x + attention(norm(x))`, then `x + feed_forward(norm(x))`.

    The norm is RMSNorm (Zhang and Sennrich 2019); what is added to the residual stream passes through dropout.

    Args:
        width: `D`.
        attention: from `D` to `D`, with its own dropout.
        feed_forward: makes the feed-forward network, with its own dropout.
        dropout: probability of dropping an output value of the feed-forward network, in `[0, 1)`.
    """

    def __init__(
        self, width: int, attention: nn.Module, feed_forward: FeedForward = SwiGLU, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(width, EPSILON)
        self.attention = attention
        self.feed_forward_norm = nn.RMSNorm(width, EPSILON)
        self.feed_forward = feed_forward(width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Float[Tensor, "... D"], *layout: Any) -> Float[Tensor, "... D"]:
        """`x` after both halves; `layout` (bias, packing) goes to the attention as it is."""
        return self.transform(x + self.attention(self.attention_norm(x), *layout))

    def transform(self, x: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        """The second half, each position on its own."""
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))


def by_memory(x: Float[Tensor, "R *beams D"], memories: int) -> Float[Tensor, "B Q D"]:
    """Return all positions of each memory's rows side by side: `R / B` neighbouring rows read one of `B` memories.

    >>> by_memory(torch.zeros(6, 4, 2, 8), 3).shape
    torch.Size([3, 16, 8])
    """
    flat = x.flatten(0, -2)
    return flat.unflatten(0, (memories, flat.shape[0] // max(memories, 1)))


class DecoderBlock(nn.Module):
    """Pre-normalised self-attention of a beam to its past, cross-attention to the memory, feed-forward network.

    Letters: `M` beams a request, `T` new positions a beam, `t` positions the beam has behind it.

    Args:
        width: `D`.
        self_attention: of a beam to its own positions.
        cross_attention: to the request's memory.
        feed_forward: makes the feed-forward network, with its own dropout.
        dropout: probability of dropping an output value of the feed-forward network, in `[0, 1)`.
    """

    def __init__(
        self,
        width: int,
        self_attention: SelfAttention,
        cross_attention: CrossAttention,
        feed_forward: FeedForward = SwiGLU,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.self_norm = nn.RMSNorm(width, EPSILON)
        self.self_attention = self_attention
        self.cross_norm = nn.RMSNorm(width, EPSILON)
        self.cross_attention = cross_attention
        self.feed_forward_norm = nn.RMSNorm(width, EPSILON)
        self.feed_forward = feed_forward(width)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "R M T D"],
        past: tuple[Float[Tensor, "R M H t d"], Float[Tensor, "R M H t d"]],
        bias: Float[Tensor, "1 H T t_plus_T"],
        memory: tuple[Float[Tensor, "B H S d"], Float[Tensor, "B H S d"]],
        mask: Bool[Tensor, "B 1 1 S"] | None,
    ) -> tuple[Float[Tensor, "R M T D"], tuple[Tensor, Tensor]]:
        """The new positions, and the past with them.

        Args:
            x: the new positions of each beam of `R` rows; where `R` is a multiple of the `B` memories, so many
                neighbouring rows share one.
            past: keys and values of the positions behind.
            bias: added to the self-attention's logits; −inf at keys after their query.
            memory: keys and values of the request's memory, from `cross_attention.project`.
            mask: true at the memory's real keys; None where all are.
        """
        x, past = self.look_back(x, past, bias)
        return self.look_up(by_memory(x, memory[0].shape[0]), memory, mask).view(x.shape), past

    def look_back(
        self,
        x: Float[Tensor, "B M T D"],
        past: tuple[Float[Tensor, "B M H t d"], Float[Tensor, "B M H t d"]],
        bias: Float[Tensor, "1 H T t_plus_T"],
    ) -> tuple[Float[Tensor, "B M T D"], tuple[Tensor, Tensor]]:
        """The first third: self-attention; arguments as in `forward`."""
        beams = x.shape[:2]
        query, key, value = self.self_attention.project(self.self_norm(x).flatten(0, 1))
        key = torch.cat([past[0].flatten(0, 1), key], 2)
        value = torch.cat([past[1].flatten(0, 1), value], 2)
        gathered = self.self_attention.attend(query, key, value, bias).unflatten(0, beams)
        return x + self.self_attention.combine(gathered), (key.unflatten(0, beams), value.unflatten(0, beams))

    def look_up(
        self,
        x: Float[Tensor, "B Q D"],
        memory: tuple[Float[Tensor, "B H S d"], Float[Tensor, "B H S d"]],
        mask: Bool[Tensor, "B 1 1 S"] | None,
    ) -> Float[Tensor, "B Q D"]:
        """The rest, in which all `Q = M · T` positions of a request are alike; arguments as in `forward`."""
        x = x + self.cross_attention(self.cross_norm(x), *memory, mask)
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
