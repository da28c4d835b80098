"""The encoder-decoder that reads a history of semantic IDs and generates the next one (TIGER, OneRec's first form)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import cast

from torch import nn

from recsys.items.bundle import ItemBundle
from recsys.items.trie import Trie
from recsys.models.generators.decoder_cache import EncodedHistory
from recsys.models.generators.slate_decoder import SlateDecoder
from recsys.nn.attention import CrossAttention, PackedSelfAttention, SelfAttention
from recsys.nn.dropout import Dropout
from recsys.nn.feed_forward import FeedForward, SwiGLU
from recsys.nn.packing import Packing
from recsys.nn.positions import RelativePositionBias
from recsys.nn.transformer import EPSILON, DecoderBlock, TransformerBlock
from recsys.ranges import at_least, below_one
from recsys.types.context import Context
from recsys.types.jagged import Jagged


class EncoderDecoder(SlateDecoder):
    """T5 over semantic IDs: the history as `T · L` code tokens in, the next item's `L` codes out.

    Pre-normalised RMSNorm blocks, unscaled attention, relative position biases shared by the layers of a stack, gated
    SiLU feed-forward networks: T5 1.1 with `gated-silu`. Of a slate the decoder reads `[0, codes of item 1, 0, codes of
    item 2, …]`, token 0 before each item, and is scored at the codes alone.
    Sources: Raffel et al. 2020 (T5), Shazeer 2020 (gated), Rajput et al. 2023 (TIGER), §3.2; Deng et al. 2025 (OneRec,
    arXiv 2502.18965), §3.2, for slates.

    Args:
        trie: the catalogue.
        width: `D`.
        layers: blocks of the encoder.
        decoder_layers: blocks of the decoder; None takes as many as the encoder has.
        heads: `H`.
        head_width: `d`, of one head.
        hidden: hidden width of the feed-forward networks; read where `feed_forward` is None.
        dropout: probability, in `[0, 1)`.
        tied: one table for input and output, its logits scaled by `1/√D`; otherwise the output has its own, unscaled.
        max_length: items of a history that are read, the latest ones.
        codes_per_level: `K_1 .. K_L`; None takes what the trie uses. Room for later items is given here.
        first_token: tokens before the first code; token 0 is one of them.
        buckets: of the relative position biases.
        max_distance: in tokens, of the relative position biases.
        feed_forward: makes each block's feed-forward network; None takes `SwiGLU` with `hidden` and `dropout`.
        decoder_feed_forward: makes those of the decoder's blocks; None takes `feed_forward`.
    """

    def __init__(
        self,
        trie: Trie,
        width: int = 128,
        layers: int = 4,
        decoder_layers: int | None = None,
        heads: int = 6,
        head_width: int = 64,
        hidden: int = 1024,
        dropout: float = 0.1,
        tied: bool = True,
        max_length: int = 20,
        codes_per_level: Sequence[int] | None = None,
        first_token: int = 1,
        buckets: int = 32,
        max_distance: int = 128,
        feed_forward: FeedForward | None = None,
        decoder_feed_forward: FeedForward | None = None,
    ) -> None:
        at_least(1, width=width, layers=layers, heads=heads, head_width=head_width, hidden=hidden)
        at_least(1, decoder_layers=decoder_layers)
        at_least(1, max_length=max_length, buckets=buckets, max_distance=max_distance)
        below_one(dropout=dropout)
        super().__init__(trie, width, tied, codes_per_level, first_token)
        self.max_length = max_length
        self.encoder_bias = RelativePositionBias(heads, buckets, max_distance)
        self.decoder_bias = RelativePositionBias(heads, buckets, max_distance, causal=True)
        shape = {"head_width": head_width, "scale": 1.0, "dropout": dropout}
        feed_forward = feed_forward or partial(SwiGLU, hidden=hidden, dropout=dropout)
        of_decoder = decoder_feed_forward or feed_forward
        self.encoder = nn.ModuleList(
            TransformerBlock(width, PackedSelfAttention(width, heads, **shape), feed_forward, dropout)
            for _ in range(layers)
        )
        self.decoder = nn.ModuleList(
            DecoderBlock(
                width, SelfAttention(width, heads, **shape), CrossAttention(width, heads, **shape), of_decoder, dropout
            )
            for _ in range(layers if decoder_layers is None else decoder_layers)
        )
        self.encoder_norm = nn.RMSNorm(width, EPSILON)
        self.decoder_norm = nn.RMSNorm(width, EPSILON)
        self.dropout = Dropout(dropout)

    @classmethod
    def from_bundle(
        cls,
        bundle: ItemBundle,
        width: int = 128,
        layers: int = 4,
        decoder_layers: int | None = None,
        heads: int = 6,
        head_width: int = 64,
        hidden: int = 1024,
        dropout: float = 0.1,
        tied: bool = True,
        max_length: int = 20,
        feed_forward: FeedForward | None = None,
        decoder_feed_forward: FeedForward | None = None,
    ) -> EncoderDecoder:
        """Return a fresh network over a bundle's catalogue, with all its codes; arguments as in the class."""
        at_least(1, width=width, layers=layers, decoder_layers=decoder_layers, heads=heads, head_width=head_width)
        at_least(1, hidden=hidden, max_length=max_length)
        below_one(dropout=dropout)
        sizes = bundle.semantic_ids.sizes
        shape = (width, layers, decoder_layers, heads, head_width, hidden, dropout, tied, max_length)
        return cls(
            bundle.trie(),
            *shape,
            codes_per_level=sizes,
            feed_forward=feed_forward,
            decoder_feed_forward=decoder_feed_forward,
        )

    def encode(self, context: Context) -> EncodedHistory:
        """Read each request's last `max_length` items. An empty history leaves one empty key behind."""
        recent = context.history.last(self.max_length)
        order = recent.lengths.argsort(descending=True, stable=True)
        tokens = self.tokens(recent.select(order).values).flatten()
        packing = Packing.of(Jagged(tokens, recent.offsets * self.trie.depth), order)
        bias = self.encoder_bias(packing.length, packing.length)
        x = self.dropout(self.token_table[tokens])
        for block in self.encoder:
            x = block(x, packing, bias)
        x = self.dropout(self.encoder_norm(x))
        blocks = cast(Iterable[DecoderBlock], self.decoder)
        projected = [cast(CrossAttention, block.cross_attention).project(x, packing) for block in blocks]
        keys, values = tuple(key for key, _ in projected), tuple(value for _, value in projected)
        return EncodedHistory(keys, values, packing.mask()[:, None, None], self.nothing_placed(len(context)))
