"""Transformer blocks of encoders and decoders."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from typing_extensions import override

from recsys.nn.attention import CrossAttention, GroupedCrossAttention, SelfAttention
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
        cross_attention: CrossAttention | GroupedCrossAttention,
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
        memory: tuple[Float[Tensor, "B Hm S d"], Float[Tensor, "B Hm S d"]],
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
            memory: keys and values of the memory of the request, as the cross-attention takes them.
            mask: true at keys of the memory that exist; None means that all do.
            shared: keys and values of the positions that the beams of a row share; None if there are none.
        """
        x, past = self.look_back(x, past, bias, shared)
        return self.transform(self.look_up(x, memory, mask)), past

    def fork(
        self,
        root: Float[Tensor, "R 1 1 D"],
        rest: Float[Tensor, "R M T D"],
        past: tuple[Float[Tensor, "R 1 H 0 d"], Float[Tensor, "R 1 H 0 d"]],
        biases: tuple[Float[Tensor, "1 H 1 _"], Float[Tensor, "1 H T _"]],
        memory: tuple[Float[Tensor, "B Hm S d"], Float[Tensor, "B Hm S d"]],
        mask: Bool[Tensor, "B 1 1 S"] | None,
        shared: tuple[Float[Tensor, "R H s d"], Float[Tensor, "R H s d"]] | None = None,
    ) -> tuple[Float[Tensor, "R 1 1 D"], Float[Tensor, "R M T D"]]:
        """Return the states of a first position, which all beams of a row share, and of the positions behind it.

        Only self-attention tells the beams apart: everything else sees all positions of a row together.

        Args:
            root: first position of each row.
            rest: positions of each beam behind it.
            past: of the first position, empty.
            biases: of the first position, and of those behind it, which see it.
            memory: see `forward`.
            mask: see `forward`.
            shared: see `forward`.
        """
        root, rest = self.look_back_forked(root, rest, past, biases, shared)
        return apart(self.transform(self.look_up(together(root, rest), memory, mask)), rest)

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

    def look_back_forked(
        self,
        root: Float[Tensor, "R 1 1 D"],
        rest: Float[Tensor, "R M T D"],
        past: tuple[Tensor, Tensor],
        biases: tuple[Tensor, Tensor],
        shared: tuple[Tensor, Tensor] | None,
    ) -> tuple[Float[Tensor, "R 1 1 D"], Float[Tensor, "R M T D"]]:
        """Apply the self-attention. Arguments are those of `fork`."""
        root, (key, value) = self.look_back(root, past, biases[0], shared)
        beams = rest.shape[1]
        of_root = key.expand(-1, beams, -1, -1, -1), value.expand(-1, beams, -1, -1, -1)
        rest, _ = self.look_back(rest, of_root, biases[1], shared)
        return root, rest

    def look_up(
        self,
        x: Float[Tensor, "R *positions D"],
        memory: tuple[Float[Tensor, "B Hm S d"], Float[Tensor, "B Hm S d"]],
        mask: Bool[Tensor, "B 1 1 S"] | None,
    ) -> Float[Tensor, "R *positions D"]:
        """Apply the cross-attention, to all positions of a request at once. Arguments are those of `forward`."""
        flat = by_memory(x, memory[0].shape[0])
        return (flat + self.cross_attention(self.cross_norm(flat), *memory, mask)).view(x.shape)

    def transform(self, x: Float[Tensor, "R *positions D"]) -> Float[Tensor, "R *positions D"]:
        """Apply the feed-forward network to each position."""
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))


class LazyDecoderBlock(DecoderBlock):
    """A decoder block that looks up first: cross-attention to the memory, self-attention, feed-forward network.

    Arguments are those of `DecoderBlock`; the cross-attention has no keys and values of its own.

    Source: OneRec-V2 (arXiv 2508.20900), lazy decoder-only architecture.
    """

    @override
    def forward(
        self,
        x: Float[Tensor, "R M T D"],
        past: tuple[Float[Tensor, "R M H t d"], Float[Tensor, "R M H t d"]],
        bias: Float[Tensor, "1 H T all_keys"],
        memory: tuple[Float[Tensor, "B Hm S d"], Float[Tensor, "B Hm S d"]],
        mask: Bool[Tensor, "B 1 1 S"] | None,
        shared: tuple[Float[Tensor, "R H s d"], Float[Tensor, "R H s d"]] | None = None,
    ) -> tuple[Float[Tensor, "R M T D"], tuple[Tensor, Tensor]]:
        x, past = self.look_back(self.look_up(x, memory, mask), past, bias, shared)
        return self.transform(x), past

    @override
    def fork(
        self,
        root: Float[Tensor, "R 1 1 D"],
        rest: Float[Tensor, "R M T D"],
        past: tuple[Float[Tensor, "R 1 H 0 d"], Float[Tensor, "R 1 H 0 d"]],
        biases: tuple[Float[Tensor, "1 H 1 _"], Float[Tensor, "1 H T _"]],
        memory: tuple[Float[Tensor, "B Hm S d"], Float[Tensor, "B Hm S d"]],
        mask: Bool[Tensor, "B 1 1 S"] | None,
        shared: tuple[Float[Tensor, "R H s d"], Float[Tensor, "R H s d"]] | None = None,
    ) -> tuple[Float[Tensor, "R 1 1 D"], Float[Tensor, "R M T D"]]:
        root, rest = apart(self.look_up(together(root, rest), memory, mask), rest)
        root, rest = self.look_back_forked(root, rest, past, biases, shared)
        return apart(self.transform(together(root, rest)), rest)


def together(root: Float[Tensor, "R 1 1 D"], rest: Float[Tensor, "R M T D"]) -> Float[Tensor, "R Q D"]:
    """Return a position that all beams of a row share, and those behind it, in one axis: `Q = 1 + M · T`."""
    return torch.cat([root.flatten(1, 2), rest.flatten(1, 2)], 1)


def apart(
    both: Float[Tensor, "R Q D"], rest: Float[Tensor, "R M T D"]
) -> tuple[Float[Tensor, "R 1 1 D"], Float[Tensor, "R M T D"]]:
    """Return what `together` joined; `rest` tells its shape."""
    return both[:, :1].unsqueeze(1), both[:, 1:].view(rest.shape)
