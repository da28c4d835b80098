"""The decoding half of generators over codes: slates are read token by token in front of an encoded history."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from recsys.models.generators.code_vocabulary import CodeVocabulary
from recsys.models.generators.decoder_cache import BeamPast, EncodedHistory
from recsys.models.generators.generator import SiblingMasks, by_request, by_row
from recsys.nn.dropout import Dropout
from recsys.nn.positions import RelativePositionBias
from recsys.nn.transformer import DecoderBlock
from recsys.types.record import map_tensors


class SlateDecoder(CodeVocabulary[EncodedHistory, BeamPast]):
    """A decoder that reads `[0, codes of item 1, 0, codes of item 2, …]`, token 0 before each item.

    Subclasses encode the history, and make in `__init__` the parts that are named here.

    Attributes:
        decoder: the blocks, each a `DecoderBlock`.
        decoder_bias: relative position biases of their self-attention.
        decoder_norm: norm behind the last block.
        dropout: of tokens and of the last states.
    """

    decoder: nn.ModuleList
    decoder_bias: RelativePositionBias
    decoder_norm: nn.RMSNorm
    dropout: Dropout

    def nothing_placed(self, requests: int) -> BeamPast:
        """Return the keys and values in front of the first slot: none, in every block.

        Args:
            requests: B.
        """
        attentions = [block.self_attention for block in cast(Iterable[DecoderBlock], self.decoder)]
        shapes = [(one.heads, one.out.in_features // one.heads) for one in attentions]
        nothing = tuple(self.token_table.new_zeros(requests, 1, heads, 0, width) for heads, width in shapes)
        return BeamPast(nothing, nothing)

    @override
    def select(self, memory: EncodedHistory, rows: Int[Tensor, " R"]) -> EncodedHistory:
        return memory.select(rows)

    @override
    def rows(self, memory: EncodedHistory) -> int:
        return memory.rows

    @override
    def branch(self, memory: EncodedHistory, beams: Int[Tensor, "B M"]) -> EncodedHistory:
        """Return rows that share the history of their request: their placed items alone are copied."""
        if beams.shape[0] != memory.mask.shape[0]:
            return super().branch(memory, beams)
        had = by_request(memory.placed, beams.shape[0])
        return replace(memory, placed=by_row(self.reorder(had, beams)))

    @override
    def extend(self, memory: EncodedHistory, items: Int[Tensor, " B"], state: BeamPast | None = None) -> EncodedHistory:
        """Return the memory with the keys and values of token 0 and of the item's codes behind those of each row."""
        tokens = self._slate_tokens(items[:, None, None])
        unread = tokens if state is None else tokens[..., -1:]
        _, own = self._decode(unread, memory, self.begin(memory) if state is None else state)
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
    def slate_log_prob(
        self, memory: EncodedHistory, items: Int[Tensor, "B G S"], siblings: SiblingMasks | None = None
    ) -> Float[Tensor, "B G S L"]:
        """All slots of all candidates go through the decoder in one pass."""
        paths = self.trie.path(items)
        past = self.reorder(self.begin(memory), torch.zeros_like(items[:, :, 0]))
        hidden, _ = self._decode(self._slate_tokens(items), memory, past)
        before = hidden.unflatten(2, (items.shape[2], -1))[:, :, :, :-1].flatten(1, 2)
        siblings = None if siblings is None else [mask.flatten(1, 2) for mask in siblings]
        return self._sibling_scores(before.unbind(2), paths.flatten(1, 2), siblings).view(paths.shape)

    @override
    def read_paths(self, memory: EncodedHistory, paths: Int[Tensor, "B G L"]) -> list[Float[Tensor, "B _ D"]]:
        """Return what each level's code is predicted from; all candidates go through each block together."""
        rows, _, depth = paths.shape
        root = self.dropout(self.token_table[self.trie.root(rows).unsqueeze(-1)])
        rest = self.dropout(self.token_table[self.path_tokens(paths)[..., :-1]])
        nothing, behind = self.begin(memory), memory.num_placed
        biases = self.decoder_bias(1, behind + 1), self.decoder_bias(depth - 1, behind + depth)
        for layer, block in enumerate(cast(Iterable[DecoderBlock], self.decoder)):
            past = nothing.keys[layer], nothing.values[layer]
            histories = memory.history_for(layer, len(self.decoder))
            root, rest = block.fork(root, rest, past, biases, histories, memory.mask, memory.placed_in(layer))
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
            histories = memory.history_for(layer, len(self.decoder))
            x, past = block(x, past, bias, histories, memory.mask, memory.placed_in(layer))
            pasts.append(past)
        x = self.dropout(self.decoder_norm(x))
        return x, BeamPast(tuple(key for key, _ in pasts), tuple(value for _, value in pasts))
