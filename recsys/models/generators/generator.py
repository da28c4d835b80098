"""The Generator contract: networks that generate items code by code, and whose weights can serve a larger catalogue."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from recsys.items.trie import Trie
from recsys.models.generators.new_items import with_catalogue_of
from recsys.types.context import Context
from recsys.types.record import map_tensors

Memory = TypeVar("Memory")
"""What encoding the history leaves behind: one row a request, opaque to everyone but the network."""
State = TypeVar("State")
"""What a beam carries from level to level: None, a tensor, a record or a tuple of them, each tensor `[B, M, …]`."""
SiblingMasks = Sequence[Bool[Tensor, "..."]]
"""For each level, `[B, …, C]`: which children of the node where each path stands count as siblings, in the order of
`Trie.expand`. A node without any gives −inf to all."""


def by_request(state: State, requests: int) -> State:
    """Return the state of `R` rows of `m` beams as that of `requests` requests of `R · m / requests` beams."""
    return map_tensors(state, lambda value: value.flatten(0, 1).unflatten(0, (requests, -1)))


def by_row(state: State) -> State:
    """Return the state of `B` requests of `M` beams as that of `B · M` rows of one beam."""
    return map_tensors(state, lambda value: value.flatten(0, 1).unsqueeze(1))


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
        """Return the memory of the named requests, in the order named; a request may be named more than once."""

    @abstractmethod
    def extend(self, memory: Memory, items: Int[Tensor, " B"], state: State | None = None) -> Memory:
        """Return the memory in front of the next slot of a slate: `memory` continued by one placed item a row.

        What the network says of the next item is then what training saw there (`slate_log_prob`). The history is not
        encoded again, and a row grows by the placed item alone. `memory` itself stays as it is.

        Args:
            memory: of `B` rows, each with as many placed items.
            items: `[B]`, the item placed in each row, in `0 .. N − 1`.
            state: what the last `step` on the walk to each row's item left, one beam a row, of this memory; what it
                has read of the item is not read again. None reads the item from its first code on.
        """

    def branch(self, memory: Memory, beams: Int[Tensor, "B M"]) -> Memory:
        """Return `M` rows in a row for each request: row `b · M + m` goes on with row `beams[b, m]` of request `b`.

        Networks whose rows of one request can share what they know of its history override this.

        Args:
            memory: of `B · m` rows, those of a request side by side.
            beams: `[B, M]`, each in `0 .. m − 1`.
        """
        first = torch.arange(beams.shape[0], device=beams.device) * (self.rows(memory) // max(beams.shape[0], 1))
        return self.select(memory, (first.unsqueeze(1) + beams).flatten())

    @abstractmethod
    def begin(self, memory: Memory) -> State:
        """Return the state of one beam a request (`M = 1`), standing at the root."""

    def reorder(self, state: State, beams: Int[Tensor, "B M"]) -> State:
        """Return the state of the beams that go on: new beam `m` of request `b` continues old beam `beams[b, m]`."""
        row = torch.arange(beams.shape[0], device=beams.device).unsqueeze(1)

        def chosen(value: Tensor) -> Tensor:
            """Return the beams that go on, of one tensor."""
            kept = (row * value.shape[1] + beams).flatten()
            return value.flatten(0, 1).index_select(0, kept).unflatten(0, beams.shape)

        return map_tensors(state, chosen)

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

    def path_log_prob(
        self, memory: Memory, items: Int[Tensor, "B G"], siblings: SiblingMasks | None = None
    ) -> Float[Tensor, "B G L"]:
        """Teacher-forced log-probability (nats) of each code of each item, normalised over the siblings in the trie.

        The sum over levels is the item's log-probability over the whole catalogue. Networks override this with
        whatever needs one pass.

        Args:
            memory: of `B` requests.
            items: `[B, G]`, in `0 .. N − 1`.
            siblings: over which children each code is normalised, a mask `[B, G, C]` a level; one that is left out has
                −inf. None takes all that exist.
        """
        paths = self.trie.path(items)
        nodes = torch.zeros_like(items)
        state = self.reorder(self.begin(memory), nodes)
        scores = []
        for level in range(self.trie.depth):
            children = self.trie.expand(nodes, level)
            logits, state = self.step(memory, state, nodes, level)
            log_prob = self.sibling_log_softmax(logits, children.mask if siblings is None else siblings[level])
            taken = (paths[..., level] - children.nodes[..., 0]).unsqueeze(-1)
            scores.append(log_prob.gather(-1, taken).squeeze(-1))
            nodes = paths[..., level]
        return torch.stack(scores, -1)

    def slate_log_prob(
        self, memory: Memory, items: Int[Tensor, "B G S"], siblings: SiblingMasks | None = None
    ) -> Float[Tensor, "B G S L"]:
        """Return the teacher-forced log-probability (nats) of each code of each slot behind the slots before it.

        Each slot is normalised over the whole catalogue, as `path_log_prob` is: what supervised training of slates
        needs. `recsys.decode.slates.score_slates` renormalises over what a request allows. Networks override this with
        whatever needs one pass.

        Args:
            memory: of `B` requests.
            items: `[B, G, S]`, in `0 .. N − 1`.
            siblings: as in `path_log_prob`, `[B, G, S, C]` a level.
        """
        requests, candidates, slots = items.shape
        scores = [self.path_log_prob(memory, items[:, :, 0], _of_slot(siblings, 0))]
        memory = self.branch(memory, items.new_zeros(requests, candidates))
        for slot in range(1, slots):
            memory = self.extend(memory, items[:, :, slot - 1].flatten())
            own = _of_slot(siblings, slot)
            own = None if own is None else [mask.flatten(0, 1).unsqueeze(1) for mask in own]
            found = self.path_log_prob(memory, items[:, :, slot].reshape(-1, 1), own)
            scores.append(found.view(requests, candidates, -1))
        return torch.stack(scores, 2)

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


def _of_slot(siblings: SiblingMasks | None, slot: int) -> SiblingMasks | None:
    """Return the masks `[B, G, C]` of one slot of masks `[B, G, S, C]`."""
    return None if siblings is None else [mask[:, :, slot] for mask in siblings]


class PrefixGenerator(Generator[Memory, State]):
    """A generator whose encoder is causal over items, so that one pass encodes every prefix of a sequence."""

    @abstractmethod
    def encode_prefixes(self, context: Context) -> Memory:
        """Encode every position of each request's history: `ΣT` rows, in the order of `context.history.values`.

        Row `t` of a request has seen its items `0 .. t` and predicts item `t + 1`; the last row of each request is
        what `encode` returns.
        """
