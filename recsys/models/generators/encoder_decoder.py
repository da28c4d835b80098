"""The encoder-decoder that reads a history of semantic IDs and generates the next one (TIGER, OneRec's first form)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from recsys.errors import ConfigurationError
from recsys.items.bundle import ItemBundle
from recsys.items.trie import Trie
from recsys.models.generators.generator import Generator
from recsys.nn.attention import CrossAttention, PackedSelfAttention, SelfAttention
from recsys.nn.dropout import Dropout
from recsys.nn.feed_forward import FeedForward, SwiGLU
from recsys.nn.packing import Packing
from recsys.nn.positions import RelativePositionBias
from recsys.nn.transformer import EPSILON, DecoderBlock, TransformerBlock
from recsys.types.context import Context
from recsys.types.jagged import Jagged


@dataclass(frozen=True)
class EncodedHistory:
    """Keys and values of each request's history, projected once for each decoder layer.

    Args:
        keys: a tensor `[B, H, S, d]` a decoder layer.
        values: the same.
        mask: `[B, 1, 1, S]`, true at real tokens.
    """

    keys: tuple[Float[Tensor, "B H S d"], ...]
    values: tuple[Float[Tensor, "B H S d"], ...]
    mask: Bool[Tensor, "B 1 1 S"]


@dataclass(frozen=True)
class BeamPast:
    """Keys and values of the codes each beam has behind it.

    Args:
        keys: a tensor `[B, M, H, t, d]` a decoder layer.
        values: the same.
    """

    keys: tuple[Float[Tensor, "B M H t d"], ...]
    values: tuple[Float[Tensor, "B M H t d"], ...]


class EncoderDecoder(Generator[EncodedHistory, BeamPast]):
    """T5 over semantic IDs: the history as `T · L` code tokens in, the next item's `L` codes out.

    Pre-normalised RMSNorm blocks, unscaled attention, relative position biases shared by the layers of a stack, gated
    SiLU feed-forward networks: T5 1.1 with `gated-silu`, whose weights `recsys.models.generators.t5_weights` takes
    over. Code `c` of level `l` is token `first_token + Σ_{k<l} K_k + c`; token 0 begins an item. A level is scored by
    its own `K_l` rows of the output table only.
    Sources: Raffel et al. 2020 (T5), Shazeer 2020 (gated), Rajput et al. 2023 (TIGER), §3.2.

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
        super().__init__(trie)
        sizes = tuple(codes_per_level) if codes_per_level is not None else trie.codes_per_level
        if len(sizes) != trie.depth or any(have < used for have, used in zip(sizes, trie.codes_per_level, strict=True)):
            raise ConfigurationError(
                f"codes_per_level is {sizes}, the trie uses {trie.codes_per_level} codes: give at least as many a level"
            )
        self.max_length = max_length
        self.level_start = tuple(first_token + sum(sizes[:level]) for level in range(trie.depth + 1))
        self.output_scale = width**-0.5 if tied else 1.0
        tokens = self.level_start[-1]
        self.token_table = nn.Parameter(torch.randn(tokens, width))
        self.output_table = None if tied else nn.Parameter(torch.randn(tokens, width) * width**-0.5)
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
        """A fresh network over a bundle's catalogue, with all its codes; arguments as in the class."""
        sizes = bundle.semantic_ids.sizes
        shape = (width, layers, decoder_layers, heads, head_width, hidden, dropout, tied, max_length)
        return cls(
            bundle.trie(),
            *shape,
            codes_per_level=sizes,
            feed_forward=feed_forward,
            decoder_feed_forward=decoder_feed_forward,
        )

    def tokens(self, items: Int[Tensor, "*items"]) -> Int[Tensor, "*items L"]:
        """The `L` tokens of each item."""
        return self._path_tokens(self.trie.path(items))

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
        return EncodedHistory(
            tuple(key for key, _ in projected), tuple(value for _, value in projected), packing.mask()[:, None, None]
        )

    def select(self, memory: EncodedHistory, rows: Int[Tensor, " R"]) -> EncodedHistory:
        """The memory of the named requests."""
        return EncodedHistory(
            tuple(key[rows] for key in memory.keys), tuple(value[rows] for value in memory.values), memory.mask[rows]
        )

    def rows(self, memory: EncodedHistory) -> int:
        """How many requests the memory holds."""
        return memory.mask.shape[0]

    def begin(self, memory: EncodedHistory) -> BeamPast:
        """One beam a request with nothing behind it."""
        nothing = tuple(key.new_zeros(key.shape[0], 1, key.shape[1], 0, key.shape[3]) for key in memory.keys)
        return BeamPast(nothing, nothing)

    def reorder(self, state: BeamPast, beams: Int[Tensor, "B M"]) -> BeamPast:
        """The pasts of the beams that go on."""
        first = torch.arange(beams.shape[0], device=beams.device).unsqueeze(1) * state.keys[0].shape[1]
        kept = (first + beams).flatten()

        def chosen(past: Tensor) -> Tensor:
            """The kept beams of one layer."""
            return past.flatten(0, 1).index_select(0, kept).unflatten(0, beams.shape)

        return BeamPast(tuple(map(chosen, state.keys)), tuple(map(chosen, state.values)))

    def step(
        self, memory: EncodedHistory, state: BeamPast, nodes: Int[Tensor, "B M"], level: int
    ) -> tuple[Float[Tensor, "B M C"], BeamPast]:
        """Logits of the children of each beam's node, out of those of the level's codes."""
        hidden, state = self._decode(self._edge_tokens(nodes, level).unsqueeze(-1), memory, state)
        return self._code_logits(hidden.squeeze(2), level).gather(-1, self.trie.expand(nodes, level).tokens), state

    def vocabulary_logits(
        self, memory: EncodedHistory, state: BeamPast, nodes: Int[Tensor, "B M"], level: int
    ) -> tuple[Float[Tensor, "B M V"], BeamPast]:
        """Logits of the whole vocabulary, column `level_start[level] + c` for code `c` of the level.

        The published form of the policy is normalised over these: codes that no item bears, codes of other levels and
        the special tokens among them.
        """
        return self.token_logits(memory, state, self._edge_tokens(nodes, level))

    def token_logits(
        self, memory: EncodedHistory, state: BeamPast, tokens: Int[Tensor, "B M"]
    ) -> tuple[Float[Tensor, "B M V"], BeamPast]:
        """Logits of the whole vocabulary after one more token a beam, wherever in the trie that is or is not."""
        hidden, state = self._decode(tokens.unsqueeze(-1), memory, state)
        return self._logits(hidden.squeeze(2), slice(None)), state

    def path_log_prob(self, memory: EncodedHistory, items: Int[Tensor, "B G"]) -> Float[Tensor, "B G L"]:
        """Teacher-forced log-probabilities (nats) of each item's codes, of all candidates in one pass."""
        paths = self.trie.path(items)
        nodes = torch.zeros_like(items)
        scores = []
        for level, hidden in enumerate(self._read_paths(memory, paths)):
            children = self.trie.expand(nodes, level)
            logits = self._code_logits(hidden, level).expand(-1, items.shape[1], -1).gather(-1, children.tokens)
            log_prob = self.sibling_log_softmax(logits, children.mask)
            taken = (paths[..., level] - children.nodes[..., 0]).unsqueeze(-1)
            scores.append(log_prob.gather(-1, taken).squeeze(-1))
            nodes = paths[..., level]
        return torch.stack(scores, -1)

    def vocabulary_path_log_prob(self, memory: EncodedHistory, items: Int[Tensor, "B G"]) -> Float[Tensor, "B G L"]:
        """`path_log_prob` in its published form: each code's log-probability (nats) over the whole vocabulary."""
        paths = self.trie.path(items)
        tokens = self._path_tokens(paths).unbind(-1)
        scores = []
        for hidden, token in zip(self._read_paths(memory, paths), tokens, strict=True):
            logits = self._logits(hidden, slice(None))
            chosen = logits.expand(-1, items.shape[1], -1).gather(-1, token.unsqueeze(-1)).squeeze(-1)
            scores.append(chosen - logits.logsumexp(-1))
        return torch.stack(scores, -1)

    def _read_paths(self, memory: EncodedHistory, paths: Int[Tensor, "B G L"]) -> list[Float[Tensor, "B _ D"]]:
        """What each level's code is predicted from: `[B, 1, D]` at the root, which all share, then `[B, G, D]`.

        The root and the first `L − 1` codes of all candidates go through each block together; only self-attention
        tells them apart.
        """
        requests, candidates, depth = paths.shape
        root = self.dropout(self.token_table[self.trie.root(requests).unsqueeze(-1)])
        rest = self.dropout(self.token_table[self._path_tokens(paths)[..., :-1]])
        begin, onward = self.decoder_bias(1, 1), self.decoder_bias(depth - 1, depth)
        nothing = self.begin(memory)
        for layer, block in enumerate(cast(Iterable[DecoderBlock], self.decoder)):
            root, (key, value) = block.look_back(root, (nothing.keys[layer], nothing.values[layer]), begin)
            past = key.expand(-1, candidates, -1, -1, -1), value.expand(-1, candidates, -1, -1, -1)
            rest, _ = block.look_back(rest, past, onward)
            both = torch.cat([root.flatten(1, 2), rest.flatten(1, 2)], 1)
            both = block.look_up(both, (memory.keys[layer], memory.values[layer]), memory.mask)
            root, rest = both[:, :1].unsqueeze(1), both[:, 1:].view(rest.shape)
        levels = [root.squeeze(1), *rest.unbind(2)]
        return [self.dropout(self.decoder_norm(hidden)) for hidden in levels]

    def _path_tokens(self, paths: Int[Tensor, "*items L"]) -> Int[Tensor, "*items L"]:
        levels = enumerate(paths.unbind(-1))
        return torch.stack(
            [self.trie.token(level + 1)[node].long() + self.level_start[level] for level, node in levels], -1
        )

    def _decode(
        self, tokens: Int[Tensor, "B M T"], memory: EncodedHistory, state: BeamPast
    ) -> tuple[Float[Tensor, "B M T D"], BeamPast]:
        x = self.dropout(self.token_table[tokens])
        bias = self.decoder_bias(tokens.shape[-1], state.keys[0].shape[3] + tokens.shape[-1])
        pasts = []
        for layer, block in enumerate(self.decoder):
            past = (state.keys[layer], state.values[layer])
            x, past = block(x, past, bias, (memory.keys[layer], memory.values[layer]), memory.mask)
            pasts.append(past)
        x = self.dropout(self.decoder_norm(x))
        return x, BeamPast(tuple(key for key, _ in pasts), tuple(value for _, value in pasts))

    def _edge_tokens(self, nodes: Int[Tensor, "B M"], level: int) -> Int[Tensor, "B M"]:
        """The token that led to each node of a level; 0 at the root."""
        return self.trie.token(level)[nodes].long() + self.level_start[level - 1] if level else nodes

    def _code_logits(self, hidden: Float[Tensor, "B M D"], level: int) -> Float[Tensor, "B M K"]:
        return self._logits(hidden, slice(self.level_start[level], self.level_start[level + 1]))

    def _logits(self, hidden: Float[Tensor, "B M D"], tokens: slice) -> Float[Tensor, "B M V"]:
        table = self.token_table if self.output_table is None else self.output_table
        return self.output_scale * hidden @ table[tokens].T
