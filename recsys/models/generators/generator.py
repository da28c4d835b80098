"""The Generator contract: networks that generate items code by code, and whose weights can serve a larger catalogue."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Generic, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import pad

from recsys.items.trie import Trie
from recsys.types.context import Context


def with_siblings_mean(rows: Float[Tensor, "N D"], codes: Int[Tensor, "M L"], trie: Trie) -> Float[Tensor, "M D"]:
    """The rows of `N` items followed by rows for the `M − N` items behind them: each the mean of its known siblings'.

    An item that stands alone under its parent gets the row 0, so that its codes are all that is known of it.

    Args:
        rows: of the items `0 .. N − 1`.
        codes: of all items.
        trie: over all items.

    >>> codes = torch.tensor([[0, 0], [0, 1], [1, 0], [0, 2], [2, 0]])
    >>> with_siblings_mean(torch.tensor([[1.0], [3.0], [7.0]]), codes, Trie.from_codes(codes)).flatten()
    tensor([1., 3., 7., 2., 0.])
    """
    known, items = rows.shape[0], torch.arange(codes.shape[0], device=rows.device)
    parent = trie.path(items)[:, -2] if trie.depth > 1 else torch.zeros_like(items)
    total = rows.new_zeros(trie.level_size[-2], rows.shape[1]).index_add(0, parent[:known], rows)
    count = parent[:known].bincount(minlength=trie.level_size[-2]).clamp(min=1)
    return torch.cat([rows, (total / count.unsqueeze(-1))[parent[known:]]])


def moved_nodes(rows: Float[Tensor, "n D"], level: int, known: Trie, trie: Trie) -> Float[Tensor, "n_new D"]:
    """The rows of a level's nodes at the places that their nodes have in a larger trie; new nodes get the row 0.

    Args:
        rows: of the nodes of `level` in `known`.
        level: from 1 on.
        known: over the items `0 .. N − 1`.
        trie: over these and those behind them.
    """
    items = torch.arange(known.num_items, device=rows.device)
    moved = rows.new_zeros(trie.level_size[level], rows.shape[1])
    moved[trie.path(items)[:, level - 1]] = rows[known.path(items)[:, level - 1]]
    return moved


def longer_table(rows: Float[Tensor, "n D"], size: int) -> Float[Tensor, "size D"]:
    """The rows followed by rows of zeros."""
    return pad(rows, (0, 0, 0, size - rows.shape[0]))


def with_catalogue_of(state: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`weights`, but with the arrays of the trie as they are in `state`."""
    return {name: state[name] if name.startswith("trie.") else value for name, value in weights.items()}


Memory = TypeVar("Memory")
"""What encoding the history leaves behind: one row a request, opaque to everyone but the network."""
State = TypeVar("State")
"""What a beam carries from level to level (a key-value cache, say); re-gathered with the beam."""


class Generator(nn.Module, ABC, Generic[Memory, State]):
    """A network that walks a `Trie` from the root to a leaf.

    It speaks in logits of children; what becomes of them (masking, normalising, searching) is `recsys.decode`'s.
    Letters: `B` requests, `M` nodes a request (beams), `C` most children a node of the level has, `L` levels.

    Args:
        trie: the catalogue.
    """

    def __init__(self, trie: Trie) -> None:
        super().__init__()
        self.trie = trie

    @abstractmethod
    def encode(self, context: Context) -> Memory:
        """Encode each request's history, once; every beam and candidate reuses it."""

    @abstractmethod
    def select(self, memory: Memory, rows: Int[Tensor, " R"]) -> Memory:
        """The memory of the named requests, in the order named; a request may be named more than once."""

    @abstractmethod
    def begin(self, memory: Memory) -> State:
        """The state of one beam a request (`M = 1`), standing at the root."""

    @abstractmethod
    def reorder(self, state: State, beams: Int[Tensor, "B M"]) -> State:
        """The state of the beams that go on: new beam `m` of request `b` continues old beam `beams[b, m]`."""

    @abstractmethod
    def step(
        self, memory: Memory, state: State, nodes: Int[Tensor, "B M"], level: int
    ) -> tuple[Float[Tensor, "B M C"], State]:
        """Logits of the children of each beam's node, aligned with `trie.expand(nodes, level)`.

        Where a node has fewer than `C` children, the logits behind the last are arbitrary and are masked by the caller.

        Args:
            memory: of `B` requests.
            state: of `B × M` beams.
            nodes: `[B, M]`, indices among the nodes of `level` (level 0 is the root).
            level: from 0 to `L − 1`.
        """

    def sibling_log_softmax(self, logits: Float[Tensor, "B M C"], mask: Tensor) -> Float[Tensor, "B M C"]:
        """Log-softmax over the children that exist; −inf elsewhere."""
        return torch.log_softmax(logits.masked_fill(~mask, float("-inf")), -1).masked_fill(~mask, float("-inf"))

    def path_log_prob(self, memory: Memory, items: Int[Tensor, "B G"]) -> Float[Tensor, "B G L"]:
        """Teacher-forced log-probability (nats) of each code of each item, normalised over the siblings in the trie.

        The sum over levels is the item's log-probability over the whole catalogue. Networks override this with
        whatever needs one pass.
        """
        paths = self.trie.path(items)
        nodes = torch.zeros_like(items)
        state = self.reorder(self.begin(memory), nodes)
        scores = []
        for level in range(self.trie.depth):
            children = self.trie.expand(nodes, level)
            logits, state = self.step(memory, state, nodes, level)
            log_prob = self.sibling_log_softmax(logits, children.mask)
            taken = (paths[..., level] - children.nodes[..., 0]).unsqueeze(-1)
            scores.append(log_prob.gather(-1, taken).squeeze(-1))
            nodes = paths[..., level]
        return torch.stack(scores, -1)

    def catalogue_log_prob(self, memory: Memory) -> Float[Tensor, "B N"]:
        """Log-probability (nats) of every item, by walking the whole trie; memory grows with `B × N`."""
        state = self.begin(memory)
        score: Tensor | None = None
        nodes: Tensor | None = None
        for level in range(self.trie.depth):
            if nodes is None or score is None:
                nodes = self.trie.root(self.rows(memory))
                score = torch.zeros(nodes.shape, device=nodes.device)
            children = self.trie.expand(nodes, level)
            logits, state = self.step(memory, state, nodes, level)
            grown = score.unsqueeze(-1) + self.sibling_log_softmax(logits, children.mask)
            exists = children.mask[0].flatten().nonzero().squeeze(-1)
            parents = torch.arange(nodes.shape[1], device=nodes.device).repeat_interleave(children.mask.shape[-1])
            nodes = children.nodes.flatten(1)[:, exists]
            score = grown.flatten(1)[:, exists]
            state = self.reorder(state, parents[exists].expand(nodes.shape[0], -1))
        assert score is not None
        return score[:, self.trie.item_leaf]

    def for_new_items(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights trained on the first items of this catalogue, made to fit the whole of it (`load_state_dict`).

        A network that knows items by their codes alone needs no more than the new trie.
        """
        return with_catalogue_of(self.state_dict(), weights)

    @abstractmethod
    def rows(self, memory: Memory) -> int:
        """How many requests the memory holds."""


class PrefixGenerator(Generator[Memory, State]):
    """A generator whose encoder is causal over items, so that one pass encodes every prefix of a sequence."""

    @abstractmethod
    def encode_prefixes(self, context: Context) -> Memory:
        """Encode every position of each request's history: `ΣT` rows, in the order of `context.history.values`.

        Row `t` of a request has seen its items `0 .. t` and predicts item `t + 1`; the last row of each request is
        what `encode` returns.
        """
