"""Transformer blocks of encoders and decoders."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from typing_extensions import override

from recsys.nn.attention import CrossAttention, SelfAttention
from recsys.nn.dropout import Dropout
from recsys.nn.feed_forward import FeedForward, SwiGLU

EPSILON = 1e-6
"""The number that every RMSNorm adds to the mean square, as in T5."""


class TransformerBlock(nn.Module):
    """A pre-normalised transformer block: `x + attention(norm(x))`, then `x + feed_forward(norm(x))`.

    The norm is RMSNorm (Zhang and Sennrich 2019). Dropout applies to the outputs of attention and feed-forward network.

    Args:
        width: width `D`.
        attention: self-attention from `D` to `D`, with dropout of its own.
        feed_forward: function that makes the feed-forward network, which has dropout of its own.
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

    @override
    def forward(self, x: Float[Tensor, "... D"], *layout: Any) -> Float[Tensor, "... D"]:
        """Apply attention and feed-forward network. `layout` (bias, packing) is passed to the attention."""
        return self.transform(x + self.attention(self.attention_norm(x), *layout))

    def transform(self, x: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        """Apply the second half, the feed-forward network, to each position."""
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))


def by_memory(x: Float[Tensor, "R *beams D"], memories: int) -> Float[Tensor, "B Q D"]:
    """Return the positions of all rows of a memory in one axis; `R / B` neighbouring rows read one memory.

    >>> by_memory(torch.zeros(6, 4, 2, 8), 3).shape
    torch.Size([3, 16, 8])
    """
    flat = x.flatten(0, -2)
    return flat.unflatten(0, (memories, flat.shape[0] // max(memories, 1)))


class DecoderBlock(nn.Module):
    """A pre-normalised decoder block: self-attention of a beam, cross-attention to the memory, feed-forward network.

    Letters: `M` beams of a row, `T` new positions of a beam, `t` earlier ones of a beam, `s` positions before these
    that all beams of a row share.

    Args:
        width: width `D`.
        self_attention: attention of a beam to its own positions.
        cross_attention: attention to the memory of the request.
        feed_forward: function that makes the feed-forward network, which has dropout of its own.
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

    @override
    def forward(
        self,
        x: Float[Tensor, "R M T D"],
        past: tuple[Float[Tensor, "R M H t d"], Float[Tensor, "R M H t d"]],
        bias: Float[Tensor, "1 H T all_keys"],
        memory: tuple[Float[Tensor, "B H S d"], Float[Tensor, "B H S d"]],
        mask: Bool[Tensor, "B 1 1 S"] | None,
        shared: tuple[Float[Tensor, "R H s d"], Float[Tensor, "R H s d"]] | None = None,
    ) -> tuple[Float[Tensor, "R M T D"], tuple[Tensor, Tensor]]:
        """Return the states of the new positions, and keys and values of all positions.

        Args:
            x: new positions of each beam of `R` rows. If `R` is a multiple of the number `B` of memories, `R / B`
                neighbouring rows share one memory.
            past: keys and values of the earlier positions of each beam.
            bias: number that is added to the logits of the self-attention over `s + t + T` keys; −inf at keys after
                their query.
            memory: keys and values of the memory of the request, from `cross_attention.project`.
            mask: true at keys of the memory that exist; None means that all do.
            shared: keys and values of the positions that the beams of a row share; None if there are none.
        """
        x, past = self.look_back(x, past, bias, shared)
        return self.look_up(by_memory(x, memory[0].shape[0]), memory, mask).view(x.shape), past

    def look_back(
        self,
        x: Float[Tensor, "R M T D"],
        past: tuple[Float[Tensor, "R M H t d"], Float[Tensor, "R M H t d"]],
        bias: Float[Tensor, "1 H T all_keys"],
        shared: tuple[Float[Tensor, "R H s d"], Float[Tensor, "R H s d"]] | None = None,
    ) -> tuple[Float[Tensor, "R M T D"], tuple[Tensor, Tensor]]:
        """Apply the self-attention. Arguments are those of `forward`."""
        beams = x.shape[:2]
        query, key, value = self.self_attention.project(self.self_norm(x).flatten(0, 1))
        key = torch.cat([past[0].flatten(0, 1), key], 2)
        value = torch.cat([past[1].flatten(0, 1), value], 2)
        if shared is None:
            gathered = self.self_attention.attend(query, key, value, bias)
        else:
            gathered = self.self_attention.attend_behind(query, (key, value), shared, bias)
        return x + self.self_attention.combine(gathered.unflatten(0, beams)), (
            key.unflatten(0, beams),
            value.unflatten(0, beams),
        )

    def look_up(
        self,
        x: Float[Tensor, "B Q D"],
        memory: tuple[Float[Tensor, "B H S d"], Float[Tensor, "B H S d"]],
        mask: Bool[Tensor, "B 1 1 S"] | None,
    ) -> Float[Tensor, "B Q D"]:
        """Apply cross-attention and feed-forward network to the `Q = M · T` positions of a request, as in `forward`."""
        x = x + self.cross_attention(self.cross_norm(x), *memory, mask)
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
