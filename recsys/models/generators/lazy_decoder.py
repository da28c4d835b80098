"""The lazy decoder: a history without an encoder, whose keys and values the decoder's layers share (OneRec-V2)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from recsys.errors import ConfigurationError
from recsys.items.bundle import ItemBundle
from recsys.items.trie import Trie
from recsys.models.generators.decoder_cache import EncodedHistory
from recsys.models.generators.slate_decoder import SlateDecoder
from recsys.nn.attention import GroupedCrossAttention, SelfAttention
from recsys.nn.dropout import Dropout
from recsys.nn.feed_forward import FeedForward, SwiGLU
from recsys.nn.packing import Packing
from recsys.nn.positions import RelativePositionBias
from recsys.nn.transformer import EPSILON, LazyDecoderBlock
from recsys.ranges import at_least, below_one
from recsys.types.context import Context


class ContextProcessor(nn.Module):
    """Keys and values of a history, one position an item: `C = W (MLP[E_1 … E_L] + P)`, `k_m = RMSNorm(C_m)`.

    `E` are the embeddings of the item's `L` codes, `P` that of its place counted from the latest item, and `C_m` is the
    `m`-th of the equal parts that the channels of `C` are divided into, one for each set of keys. Values are the keys,
    or have a part and a norm of their own. No item attends to another: the history costs a few products an item.

    Source: OneRec-V2 (arXiv 2508.20900), lazy decoder-only architecture; it does not say how the history has its order,
    positions are ours.

    Args:
        width: width `D` of the embeddings.
        depth: `L`.
        sets: of keys and values.
        heads: `H_m`, heads of keys and values.
        head_width: `d`, of one head.
        tied_values: whether values are the keys.
        max_length: items of a history, at most.
        dropout: probability, in `[0, 1)`.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        sets: int,
        heads: int,
        head_width: int,
        tied_values: bool,
        max_length: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.sets = sets
        self.heads = heads
        self.item = nn.Sequential(nn.Linear(depth * width, width), nn.SiLU(), nn.Linear(width, width))
        self.positions = nn.Parameter(torch.randn(max_length, width) * 0.02)
        parts, inner = sets if tied_values else 2 * sets, heads * head_width
        self.channels = nn.Linear(width, parts * inner, bias=False)
        self.norms = nn.ModuleList(nn.RMSNorm(inner, EPSILON) for _ in range(parts))
        self.dropout = Dropout(dropout)

    @override
    def forward(
        self, codes: Float[Tensor, "total L D"], recency: Int[Tensor, " total"], packing: Packing
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return keys and values `[B, H_m, T, d]` of each set; an empty history leaves one key of zeros.

        Args:
            codes: embeddings of the codes of each item of the histories.
            recency: place of each item, 0 for the latest.
            packing: of the histories.
        """
        x = self.item(self.dropout(codes).flatten(1)) + self.positions[recency]
        parts = self.channels(self.dropout(x)).chunk(len(self.norms), -1)
        found = tuple(
            packing.pad(norm(part)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for norm, part in zip(self.norms, parts, strict=True)
        )
        keys = found[: self.sets]
        return keys, found[self.sets :] or keys


class LazyDecoder(SlateDecoder):
    """A decoder over codes in front of a history that is not encoded: `ContextProcessor` makes its keys and values.

    Neighbouring layers share one set of keys and values, layer `i` of `Y` reads set `⌊i · sets / Y⌋`, and
    cross-attention projects queries only, in groups that share a head of the memory. A block is cross-attention,
    causal self-attention, feed-forward network (`LazyDecoderBlock`). Of a slate the decoder reads what `EncoderDecoder`
    reads; of a single item `[0, s_1, …, s_{L−1}]`. Almost all of its work is then that of the few tokens it predicts.

    Source: OneRec-V2 (arXiv 2508.20900), lazy decoder-only architecture.

    Args:
        trie: the catalogue.
        width: `D`.
        layers: `Y`, blocks of the decoder.
        heads: of queries and of self-attention.
        memory_heads: `H_m`, heads of keys and values of the history; `heads` is a multiple of it.
        head_width: `d`, of one head.
        hidden: hidden width of the feed-forward networks; read where `feed_forward` is None.
        sets: of keys and values that the layers share, at most `layers`.
        tied_values: whether the values of the history are its keys.
        dropout: probability, in `[0, 1)`.
        tied: see `EncoderDecoder`.
        max_length: items of a history that are read, the latest ones.
        codes_per_level: see `EncoderDecoder`.
        first_token: see `EncoderDecoder`.
        buckets: see `EncoderDecoder`.
        max_distance: see `EncoderDecoder`.
        feed_forward: makes each block's feed-forward network; None takes `SwiGLU` with `hidden` and `dropout`.

    Raises:
        ConfigurationError: a number is out of range, `heads` is no multiple of `memory_heads`, or there are more sets
            than layers.
    """

    def __init__(
        self,
        trie: Trie,
        width: int = 128,
        layers: int = 4,
        heads: int = 6,
        memory_heads: int = 2,
        head_width: int = 64,
        hidden: int = 1024,
        sets: int = 1,
        tied_values: bool = True,
        dropout: float = 0.1,
        tied: bool = True,
        max_length: int = 20,
        codes_per_level: Sequence[int] | None = None,
        first_token: int = 1,
        buckets: int = 32,
        max_distance: int = 128,
        feed_forward: FeedForward | None = None,
    ) -> None:
        _check_sizes(width, layers, heads, memory_heads, head_width, hidden, sets, dropout, max_length)
        at_least(1, buckets=buckets, max_distance=max_distance)
        super().__init__(trie, width, tied, codes_per_level, first_token)
        self.max_length = max_length
        self.context = ContextProcessor(
            width, trie.depth, sets, memory_heads, head_width, tied_values, max_length, dropout
        )
        self.decoder_bias = RelativePositionBias(heads, buckets, max_distance, causal=True)
        feed_forward = feed_forward or partial(SwiGLU, hidden=hidden, dropout=dropout)
        self.decoder = nn.ModuleList(
            LazyDecoderBlock(
                width,
                SelfAttention(width, heads, dropout, head_width=head_width, scale=1.0),
                GroupedCrossAttention(width, heads, memory_heads, head_width, dropout),
                feed_forward,
                dropout,
            )
            for _ in range(layers)
        )
        self.decoder_norm = nn.RMSNorm(width, EPSILON)
        self.dropout = Dropout(dropout)

    @classmethod
    def from_bundle(
        cls,
        bundle: ItemBundle,
        width: int = 128,
        layers: int = 4,
        heads: int = 6,
        memory_heads: int = 2,
        head_width: int = 64,
        hidden: int = 1024,
        sets: int = 1,
        tied_values: bool = True,
        dropout: float = 0.1,
        tied: bool = True,
        max_length: int = 20,
        feed_forward: FeedForward | None = None,
    ) -> LazyDecoder:
        """Return a fresh network over a bundle's catalogue, with all its codes; arguments as in the class."""
        _check_sizes(width, layers, heads, memory_heads, head_width, hidden, sets, dropout, max_length)
        shape = (width, layers, heads, memory_heads, head_width, hidden, sets, tied_values, dropout, tied, max_length)
        return cls(bundle.trie(), *shape, codes_per_level=bundle.semantic_ids.sizes, feed_forward=feed_forward)

    @override
    def encode(self, context: Context) -> EncodedHistory:
        """Read each request's last `max_length` items. An empty history leaves one empty key behind."""
        recent = context.history.last(self.max_length)
        packing = Packing.of(recent, torch.arange(len(recent), device=recent.values.device))
        recency = recent.lengths[recent.row_ids()] - 1 - recent.positions()
        keys, values = self.context(self.token_table[self.tokens(recent.values)], recency, packing)
        return EncodedHistory(keys, values, packing.mask()[:, None, None], self.nothing_placed(len(context)))


def _check_sizes(
    width: int,
    layers: int,
    heads: int,
    memory_heads: int,
    head_width: int,
    hidden: int,
    sets: int,
    dropout: float,
    max_length: int,
) -> None:
    at_least(1, width=width, layers=layers, heads=heads, memory_heads=memory_heads, head_width=head_width)
    at_least(1, hidden=hidden, sets=sets, max_length=max_length)
    below_one(dropout=dropout)
    if heads % memory_heads:
        raise ConfigurationError(f"heads={heads}: expected a multiple of memory_heads={memory_heads}")
    if sets > layers:
        raise ConfigurationError(f"sets={sets}: expected at most one for each of the {layers} layers")
