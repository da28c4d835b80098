"""A causal encoder over items with a code decoder that is one inner product a node."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from recsys.items.bundle import ItemBundle
from recsys.items.trie import Trie
from recsys.models.generators.generator import PrefixGenerator, SiblingMasks
from recsys.models.generators.history_encoder import HistoryCache, HistoryEncoder, LearnedPositions, RotaryPositions
from recsys.models.generators.new_items import (
    longer_table,
    moved_nodes,
    with_catalogue_of,
    with_siblings_mean,
)
from recsys.nn.embedding import Embedding, TorchEmbedding
from recsys.nn.feed_forward import FeedForward
from recsys.ranges import above, at_least, below_one
from recsys.types.context import Context
from recsys.types.jagged import Jagged

EmbeddingFactory = Callable[[Mapping[str, int], int, float | None], Embedding]
"""Makes tables from their rows by name, their width and the deviation of their initial rows."""


@dataclass(frozen=True)
class CausalMemory:
    """What encoding leaves behind.

    Args:
        states: `[R, D]`, one a request (or a position).
        nodes: for each level 1 … L, `[n_level, D]`: the vector of each node of the trie, shared by all requests.
        cache: the keys and values behind each state.
    """

    states: Float[Tensor, "R D"]
    nodes: tuple[Float[Tensor, "_ D"], ...]
    cache: HistoryCache


class CausalGenerator(PrefixGenerator[CausalMemory, None]):
    """`π(y | history) = Π_level softmax over siblings of ⟨h, v_node⟩`, `h` the causal encoder's state.

    - An item's vector is its own row plus a row for each of its codes but the last, which only tells it from its
      neighbours; it enters the history, `√D` times as long, and is its leaf (tied).
    - An inner node's vector is the mean of its items' vectors plus a free row.

    All prefixes of a sequence are encoded in one pass. As `h` does not depend on the path, a level is scored for all
    its nodes by one matrix product wherever that is cheaper than gathering the children's vectors.

    Args:
        trie: the catalogue.
        codes: `[N, L]`, the semantic ID of each item.
        encoder: causal over `[ΣT, D]` vectors.
        max_length: items of a history that are read, the latest ones.
        initial: standard deviation of the initial rows; None takes `1/√D`.
        embedding: makes the tables; a backend whose tables can be shared with an output layer.

    Raises:
        ConfigurationError: the tables cannot be shared (`FusedEmbedding`).
    """

    def __init__(
        self,
        trie: Trie,
        codes: Int[Tensor, "N L"],
        encoder: HistoryEncoder,
        max_length: int = 100,
        initial: float | None = None,
        embedding: EmbeddingFactory = TorchEmbedding,
    ) -> None:
        super().__init__(trie)
        self.encoder = encoder
        self.max_length = max_length
        width = encoder.width
        sizes = {f"code_{level}": int(codes[:, level].max()) + 1 for level in range(trie.depth - 1)}
        self.embedding = embedding({"item": trie.num_items, **sizes}, width, initial)
        self.embedding.weight("item")  # a table that cannot be the output layer too is refused here, not while training
        self.node = nn.ParameterList(nn.Parameter(torch.zeros(size, width)) for size in trie.level_size[1 : trie.depth])
        self.register_buffer("codes", codes.clone())
        self.codes: Tensor
        for level in range(trie.depth):
            children = trie.expand(torch.arange(trie.level_size[level]), level)
            padding = torch.zeros(children.mask.shape).masked_fill(~children.mask, float("-inf"))
            self.register_buffer(f"layout_{level}", children.nodes.flatten(), persistent=False)
            self.register_buffer(f"padding_{level}", padding.flatten(), persistent=False)
            self.register_buffer(f"slot_{level}", children.mask.flatten().nonzero().squeeze(-1), persistent=False)

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
    ) -> CausalGenerator:
        """Return a fresh network over a bundle's catalogue.

        Args:
            bundle: items and their semantic IDs.
            width: `D`.
            layers: transformer blocks.
            heads: attention heads a block.
            dropout: probability, in [0, 1).
            max_length: items of a history that are read; training windows hold one more.
            initial: standard deviation of the initial rows; None takes `1/√D`.
            embedding: makes the tables.
            positions: of the items in the history; None learns one for each of `max_length + slots` places.
            feed_forward: makes each block's feed-forward network; None takes `SwiGLU` with `dropout`.
            slots: places learned behind `max_length`, for the items that a slate holds before its last one; at least 1.
        """
        at_least(1, width=width, layers=layers, heads=heads, max_length=max_length, slots=slots)
        below_one(dropout=dropout)
        above(0, initial=initial)
        at_least(1, max_length=max_length, slots=slots)
        encoder = HistoryEncoder(width, layers, heads, dropout, max_length + slots, positions, feed_forward)
        return CausalGenerator(bundle.trie(), bundle.semantic_ids.codes, encoder, max_length, initial, embedding)

    def item_vectors(self) -> Float[Tensor, "N D"]:
        """`[N, D]`, the vector of each item."""
        vectors = self.embedding.weight("item")
        for level in range(self.trie.depth - 1):
            vectors = vectors + self.embedding.weight(f"code_{level}")[self.codes[:, level]]
        return vectors

    def node_vectors(self, items: Float[Tensor, "N D"]) -> tuple[Float[Tensor, "_ D"], ...]:
        """Level by level from 1 to L, `[n_level, D]`: means of the items below plus free rows, then the leaves."""
        leaves = items[self.trie.leaf_item]
        inner = []
        for level in range(1, self.trie.depth):
            low, high = self.trie.leaf_range(level)
            inner.append(torch.segment_reduce(leaves, "mean", lengths=high - low) + self.node[level - 1])
        return (*inner, leaves)

    def encode_prefixes(self, context: Context) -> CausalMemory:
        """All positions of all histories in one pass."""
        items = self.item_vectors()
        states, cache = self.encoder.encode(self._scaled(items, context.history))
        return CausalMemory(states, self.node_vectors(items), cache)

    def encode(self, context: Context) -> CausalMemory:
        """Return the state behind the last item of each history; that of an empty history is 0: equal logits."""
        items = self.item_vectors()
        recent = context.history.last(self.max_length)
        states, cache = self.encoder.encode(self._scaled(items, recent))
        known = recent.lengths > 0
        last = states.new_zeros(len(context), states.shape[1])
        last[known] = states[recent.offsets[1:][known] - 1]
        rows = torch.arange(len(context), device=last.device)
        nothing = cache.placed.new_zeros(len(context), *cache.placed.shape[1:])
        cache = HistoryCache(cache.keys, cache.values, rows, recent.lengths, nothing)
        return CausalMemory(last, self.node_vectors(items), cache)

    def select(self, memory: CausalMemory, rows: Int[Tensor, " R"]) -> CausalMemory:
        """Return the states of the named rows; node vectors are shared."""
        return CausalMemory(memory.states[rows], memory.nodes, memory.cache.select(rows))

    @override
    def extend(self, memory: CausalMemory, items: Int[Tensor, " B"], state: None = None) -> CausalMemory:
        """Return the memory with a placed item behind each history: what encoding the longer history gives.

        Positions are those behind the history that was read, so a network with learned positions takes as many items
        as it has positions for behind `max_length` (`slots` of `from_bundle`).

        Raises:
            RequestError: there is no position left.
        """
        vectors = memory.nodes[-1][self.trie.item_leaf[items]] * math.sqrt(self.encoder.width)
        states, cache = self.encoder.extend(vectors, memory.cache)
        return CausalMemory(states, memory.nodes, cache)

    def rows(self, memory: CausalMemory) -> int:
        """How many states there are."""
        return memory.states.shape[0]

    def begin(self, memory: CausalMemory) -> None:
        """Nothing is carried from level to level."""

    def step(
        self, memory: CausalMemory, state: None, nodes: Int[Tensor, "B M"], level: int
    ) -> tuple[Float[Tensor, "B M C"], None]:
        """Inner products of the state with the children's vectors."""
        children = self.trie.expand(nodes, level).nodes
        if self._dense_is_cheaper(children[0].numel(), level):
            scores = memory.states @ memory.nodes[level].T
            return scores.gather(1, children.flatten(1)).view(children.shape), None
        return torch.einsum("bd,bmcd->bmc", memory.states, memory.nodes[level][children]), None

    def path_log_prob(
        self, memory: CausalMemory, items: Int[Tensor, "B G"], siblings: SiblingMasks | None = None
    ) -> Float[Tensor, "B G L"]:
        """See `Generator.path_log_prob`; whole levels at a time where that is cheaper and all siblings count."""
        if siblings is not None or not self._dense_is_cheaper(
            items.shape[1] * self.trie.branching[-1], self.trie.depth - 1
        ):
            return super().path_log_prob(memory, items, siblings)
        paths = self.trie.path(items)
        scores = [
            self._level_log_prob(memory, level).gather(1, self._slot(level)[paths[..., level]])
            for level in range(self.trie.depth)
        ]
        return torch.stack(scores, -1)

    def catalogue_log_prob(self, memory: CausalMemory) -> Float[Tensor, "B N"]:
        """Log-probability (nats) of every item: one matrix product a level."""
        paths = self.trie.path(torch.arange(self.trie.num_items, device=memory.states.device))
        score: Tensor | None = None
        for level in range(self.trie.depth):
            own = self._level_log_prob(memory, level).index_select(1, self._slot(level)[paths[:, level]])
            score = own if score is None else own + score
        assert score is not None
        return score

    def for_new_items(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Generator.for_new_items`: a new item stands at the mean of its siblings.

        So an inner node of the last level keeps its vector, and of the old items only the new ones' siblings become
        less probable.
        """
        grown = with_catalogue_of(self.state_dict(), weights) | {"codes": self.codes}
        table = "embedding.collection.embeddings.{}.weight".format
        grown[table("item")] = with_siblings_mean(weights[table("item")], self.codes, self.trie)
        known = Trie.from_codes(weights["codes"])
        for level in range(1, self.trie.depth):
            code = table(f"code_{level - 1}")
            grown[code] = longer_table(weights[code], self.embedding.rows[f"code_{level - 1}"])
            grown[f"node.{level - 1}"] = moved_nodes(weights[f"node.{level - 1}"], level, known, self.trie)
        return grown

    def _scaled(self, items: Float[Tensor, "N D"], history: Jagged) -> Jagged:
        return Jagged(items[history.values] * math.sqrt(self.encoder.width), history.offsets)

    def _dense_is_cheaper(self, gathered: int, level: int) -> bool:
        # A gathered vector costs its bytes, a dense score its share of a matrix product: about eight to one at D = 64.
        return self.trie.level_size[level + 1] <= 8 * gathered

    def _slot(self, level: int) -> Int[Tensor, " n"]:
        return cast(Tensor, self.get_buffer(f"slot_{level}"))

    def _level_log_prob(self, memory: CausalMemory, level: int) -> Float[Tensor, "B slots"]:
        """Log-probability of every node of `level + 1` among its siblings, in the padded layout `[parents × C]`.

        Vectors are laid out so before the product that siblings end up in one row; `_slot` says where a node stands.
        """
        vectors = memory.nodes[level][self.get_buffer(f"layout_{level}")]
        logits = torch.addmm(self.get_buffer(f"padding_{level}"), memory.states, vectors.T)
        return torch.log_softmax(logits.view(-1, self.trie.level_size[level], self.trie.branching[level]), -1).flatten(
            1
        )
