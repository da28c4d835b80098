"""SASRec: next-item prediction by a causal transformer over items, as a generator over a flat trie."""

from __future__ import annotations

import torch

from recsys.items.bundle import ItemBundle
from recsys.items.trie import Trie
from recsys.models.generators.causal import CausalGenerator, EmbeddingFactory
from recsys.models.generators.history_encoder import HistoryEncoder, LearnedPositions, RotaryPositions
from recsys.nn.embedding import TorchEmbedding
from recsys.nn.feed_forward import FeedForward
from recsys.ranges import above, at_least, below_one


class SASRec(CausalGenerator):
    """Self-attentive sequential recommender: every item is a child of the root, so one softmax ranks them all.

    `π(i | history) = softmax_i ⟨h, e_i⟩`; items enter the history as `√D · e_i`. Trained with the full softmax, not
    with the sampled binary loss of the paper.
    Source: Kang and McAuley 2018, "Self-Attentive Sequential Recommendation", §3.

    Args:
        num_items: `N`.
        encoder: causal over `[ΣT, D]` vectors.
        max_length: items of a history that are read, the latest ones.
        initial: standard deviation of the initial rows; None takes `1/√D`.
        embedding: makes the item table.
    """

    def __init__(
        self,
        num_items: int,
        encoder: HistoryEncoder,
        max_length: int = 100,
        initial: float | None = None,
        embedding: EmbeddingFactory = TorchEmbedding,
    ) -> None:
        codes = torch.arange(num_items).unsqueeze(1)
        super().__init__(Trie.from_codes(codes), codes, encoder, max_length, initial, embedding)

    @classmethod
    def from_bundle(
        cls,
        bundle: ItemBundle,
        width: int = 64,
        layers: int = 2,
        heads: int = 2,
        dropout: float = 0.2,
        max_length: int = 100,
        initial: float | None = None,
        embedding: EmbeddingFactory = TorchEmbedding,
        positions: LearnedPositions | RotaryPositions | None = None,
        feed_forward: FeedForward | None = None,
        slots: int = 1,
    ) -> SASRec:
        """Return a fresh network over a bundle's items (`CausalGenerator.from_bundle`); semantic IDs are not read."""
        at_least(1, width=width, layers=layers, heads=heads, max_length=max_length, slots=slots)
        below_one(dropout=dropout)
        above(0, initial=initial)
        at_least(1, max_length=max_length, slots=slots)
        encoder = HistoryEncoder(width, layers, heads, dropout, max_length + slots, positions, feed_forward)
        return cls(len(bundle.table), encoder, max_length, initial, embedding)
