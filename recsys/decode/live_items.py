"""Legal sets of slates as counts of leaves: which children of a node still lead to an eligible item."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from typing_extensions import override

from recsys.decode.eligible import Branches, Eligible
from recsys.decode.legal import LegalSet
from recsys.models.generators.generator import Generator


@dataclass(frozen=True)
class LiveItems(Eligible, Branches):
    """What `R` rows may still hold, and the walk that normalises each code over the children that lead to it.

    A row is a slate of one of `B` requests. Its eligible items are those that the request allows without the placed
    ones. A child is live if an eligible leaf lies below it. The leaves below a node are consecutive, so that their
    number is a difference of two places in the sorted list of the request's leaves, less the placed leaves between.

    It is its own `Branches`: nothing of the network is read before the walk, and no item outside the walk is scored.

    Args:
        legal: of the `B` requests.
        keys: `request × N + leaf` of the leaves that the legal set lists, rising.
        request: `[R]`, of each row.
        placed: `[R, s]`, leaves of the placed items; `N` where a slot takes no item away.
    """

    legal: LegalSet
    keys: Int[Tensor, " listed"]
    request: Int[Tensor, " R"]
    placed: Int[Tensor, "R s"]

    @classmethod
    def of(cls, legal: LegalSet) -> LiveItems:
        """Return one row a request, in which nothing is placed."""
        keys = legal.leaves.row_ids() * legal.trie.num_items + legal.leaves.values
        request = torch.arange(len(legal), device=keys.device)
        return cls(legal, keys, request, request.new_zeros(len(legal), 0))

    @classmethod
    def before_each_slot(cls, legal: LegalSet, items: Int[Tensor, "B G S"]) -> LiveItems:
        """Return a row for each slot of given slates, in which the earlier slots are placed.

        Args:
            legal: of the `B` requests.
            items: `[B, G, S]`, eligible and distinct in each slate; −1 takes nothing away.
        """
        requests, candidates, slots = items.shape
        trie = legal.trie
        leaves = trie.item_leaf[items.clamp(min=0)].masked_fill(items < 0, trie.num_items)
        earlier = torch.ones(slots, slots, dtype=torch.bool, device=items.device).tril(-1)
        placed = leaves.unsqueeze(2).expand(-1, -1, slots, -1).masked_fill(~earlier, trie.num_items)
        rows = torch.arange(requests, device=items.device).repeat_interleave(candidates * slots)
        return replace(cls.of(legal), request=rows, placed=placed.flatten(0, 2))

    @override
    def log_mass(self) -> Float[Tensor, " R"]:
        return torch.zeros(self.request.shape, device=self.request.device)

    @override
    def select(self, rows: Int[Tensor, " Q"]) -> LiveItems:
        return replace(self, request=self.request[rows], placed=self.placed[rows])

    @override
    def without(self, items: Int[Tensor, " R"]) -> LiveItems:
        trie = self.legal.trie
        left = self.legal.counts[self.request] - (self.placed < trie.num_items).sum(1)
        leaf = trie.item_leaf[items.clamp(min=0)].masked_fill((items < 0) | (left <= 1), trie.num_items)
        return replace(self, placed=torch.cat([self.placed, leaf.unsqueeze(1)], 1))

    @override
    def to_draw(self, network: Generator[Any, Any], memory: Any) -> LiveItems:
        return self

    @override
    def to_search(self, network: Generator[Any, Any], memory: Any) -> LiveItems:
        return self

    @override
    def step(
        self, network: Generator[Any, Any], memory: Any, state: Any, nodes: Int[Tensor, "R M"], level: int
    ) -> tuple[Int[Tensor, "R M"], Float[Tensor, "R M C"], Any]:
        logits, state = network.step(memory, state, nodes, level)
        first = self.legal.trie.first_child(level)[nodes].long()
        return first, network.sibling_log_softmax(logits, self.live_children(nodes, level)), state

    @override
    def weigh(self, scores: Float[Tensor, "R M C"], nodes: Int[Tensor, "R M"], level: int) -> Float[Tensor, "R M C"]:
        return scores  # a live child's log-probability is that of all it leads to, and others have −inf

    def live_children(self, nodes: Int[Tensor, "R M"], level: int) -> Bool[Tensor, "R M C"]:
        """Return which children of each node of a level lead to an eligible item, in the order of `Trie.expand`.

        >>> from recsys.items.trie import Trie
        >>> from recsys.types.jagged import Jagged
        >>> trie = Trie.from_codes(torch.tensor([[0, 0], [0, 1], [1, 0]]))
        >>> one = LiveItems.of(LegalSet(trie, Jagged.from_rows([[1]]), inclusive=False))  # item 1 is excluded
        >>> one.live_children(trie.root(1), 0), one.live_children(trie.root(1), 1)
        (tensor([[[True, True]]]), tensor([[[ True, False]]]))
        >>> one.without(torch.tensor([0])).live_children(trie.root(1), 0)
        tensor([[[False,  True]]])
        """
        trie = self.legal.trie
        pointers = trie.first_child(level)
        first, end = (pointers[nodes + more].long().unsqueeze(-1) for more in (0, 1))
        bounds = torch.minimum(first + torch.arange(trie.branching[level] + 1, device=nodes.device), end)
        for below in range(level + 1, trie.depth):
            bounds = trie.first_child(below)[bounds].long()  # from nodes to their first leaves
        before = torch.searchsorted(self.keys, self.request[:, None, None] * trie.num_items + bounds)
        before = before if self.legal.inclusive else bounds - before  # allowed leaves, up to a constant of the row
        for leaf in self.placed.unbind(1):
            before = before - (leaf[:, None, None] < bounds).long()
        return before.diff(dim=-1) > 0
