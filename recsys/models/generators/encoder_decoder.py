"""The encoder-decoder that reads a history of semantic IDs and generates the next one (TIGER, OneRec's first form)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from recsys.items.bundle import ItemBundle
from recsys.items.trie import Trie
from recsys.models.generators.code_vocabulary import CodeVocabulary
from recsys.models.generators.decoder_cache import BeamPast, EncodedHistory
from recsys.models.generators.generator import by_request, by_row
from recsys.nn.attention import CrossAttention, PackedSelfAttention, SelfAttention
from recsys.nn.dropout import Dropout
from recsys.nn.feed_forward import FeedForward, SwiGLU
from recsys.nn.packing import Packing
from recsys.nn.positions import RelativePositionBias
from recsys.nn.transformer import EPSILON, DecoderBlock, TransformerBlock, by_memory
from recsys.ranges import at_least, below_one
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from recsys.types.record import map_tensors


class EncoderDecoder(CodeVocabulary[EncodedHistory, BeamPast]):
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
        projected = [block.cross_attention.project(x, packing) for block in blocks]
        keys, values = tuple(key for key, _ in projected), tuple(value for _, value in projected)
        nothing = tuple(key.new_zeros(key.shape[0], 1, key.shape[1], 0, key.shape[3]) for key in keys)
        return EncodedHistory(keys, values, packing.mask()[:, None, None], BeamPast(nothing, nothing))

    @override
    def select(self, memory: EncodedHistory, rows: Int[Tensor, " R"]) -> EncodedHistory:
        return memory.select(rows)

    @override
    def rows(self, memory: EncodedHistory) -> int:
        return memory.rows

    @override
    def branch(self, memory: EncodedHistory, beams: Int[Tensor, "B M"]) -> EncodedHistory:
        """Return the rows of a request share its history: their placed items alone are copied."""
        if beams.shape[0] != memory.mask.shape[0]:
            return super().branch(memory, beams)
        had = by_request(memory.placed, beams.shape[0])
        return replace(memory, placed=by_row(self.reorder(had, beams)))

    @override
    def extend(self, memory: EncodedHistory, items: Int[Tensor, " B"]) -> EncodedHistory:
        """Return the decoder reads token 0 and the item's codes; their keys and values stay with the row."""
        _, own = self._decode(self._slate_tokens(items[:, None, None]), memory, self.begin(memory))
        return replace(memory, placed=memory.placed.followed_by(own))

    @override
    def begin(self, memory: EncodedHistory) -> BeamPast:
        return map_tensors(memory.placed, lambda value: value[:, :, :, :0])

    @override
    def read(
        self, memory: EncodedHistory, state: BeamPast, tokens: Int[Tensor, "B M"]
    ) -> tuple[Float[Tensor, "B M D"], BeamPast]:
        hidden, state = self._decode(tokens.unsqueeze(-1), memory, state)
        return hidden.squeeze(2), state

    @override
    def slate_log_prob(self, memory: EncodedHistory, items: Int[Tensor, "B G S"]) -> Float[Tensor, "B G S L"]:
        """All slots of all candidates go through the decoder in one pass."""
        paths = self.trie.path(items)
        past = self.reorder(self.begin(memory), torch.zeros_like(items[:, :, 0]))
        hidden, _ = self._decode(self._slate_tokens(items), memory, past)
        before = hidden.unflatten(2, (items.shape[2], -1))[:, :, :, :-1].flatten(1, 2)
        return self._sibling_scores(before.unbind(2), paths.flatten(1, 2)).view(paths.shape)

    @override
    def read_paths(self, memory: EncodedHistory, paths: Int[Tensor, "B G L"]) -> list[Float[Tensor, "B _ D"]]:
        """Return the root and the first `L − 1` codes of all candidates go through each block together.

        Only self-attention tells them apart.
        """
        rows, candidates, depth = paths.shape
        root = self.dropout(self.token_table[self.trie.root(rows).unsqueeze(-1)])
        rest = self.dropout(self.token_table[self.path_tokens(paths)[..., :-1]])
        nothing, behind = self.begin(memory), memory.num_placed
        begin, onward = self.decoder_bias(1, behind + 1), self.decoder_bias(depth - 1, behind + depth)
        for layer, block in enumerate(cast(Iterable[DecoderBlock], self.decoder)):
            placed = memory.placed_in(layer)
            root, (key, value) = block.look_back(root, (nothing.keys[layer], nothing.values[layer]), begin, placed)
            past = key.expand(-1, candidates, -1, -1, -1), value.expand(-1, candidates, -1, -1, -1)
            rest, _ = block.look_back(rest, past, onward, placed)
            both = torch.cat([root.flatten(1, 2), rest.flatten(1, 2)], 1)
            histories = memory.keys[layer], memory.values[layer]
            both = block.look_up(by_memory(both, len(memory.mask)), histories, memory.mask).view(both.shape)
            root, rest = both[:, :1].unsqueeze(1), both[:, 1:].view(rest.shape)
        levels = [root.squeeze(1), *rest.unbind(2)]
        return [self.dropout(self.decoder_norm(hidden)) for hidden in levels]

    def _slate_tokens(self, items: Int[Tensor, "B G S"]) -> Int[Tensor, "B G T"]:
        """Token 0 and the codes of each item, slot after slot: `T = S (L + 1)`."""
        return nn.functional.pad(self.tokens(items), (1, 0)).flatten(2)

    def _decode(
        self, tokens: Int[Tensor, "B M T"], memory: EncodedHistory, state: BeamPast
    ) -> tuple[Float[Tensor, "B M T D"], BeamPast]:
        x = self.dropout(self.token_table[tokens])
        new = tokens.shape[-1]
        bias = self.decoder_bias(new, memory.num_placed + state.keys[0].shape[3] + new)
        pasts = []
        for layer, block in enumerate(self.decoder):
            past = (state.keys[layer], state.values[layer])
            histories, placed = (memory.keys[layer], memory.values[layer]), memory.placed_in(layer)
            x, past = block(x, past, bias, histories, memory.mask, placed)
            pasts.append(past)
        x = self.dropout(self.decoder_norm(x))
        return x, BeamPast(tuple(key for key, _ in pasts), tuple(value for _, value in pasts))
