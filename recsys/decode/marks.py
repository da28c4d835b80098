"""What is known of some nodes of a trie request by request, laid out so that all beams look it up with one gather."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.decode.legal import LegalSet
from recsys.items.trie import Trie


@dataclass(frozen=True)
class Nodes:
    """Some nodes of one level for each of `B` requests: `X` pairs, rising by request and node, distinct.

    Args:
        row: `[X]`, the request.
        node: `[X]`, the node.
    """

    row: Int[Tensor, " X"]
    node: Int[Tensor, " X"]


@dataclass(frozen=True)
class Family:
    """The parents of some nodes, and where each node stands below its parent.

    Args:
        parents: the parents, each once.
        child_of: `[X]`, for each node, which of the parents is its own.
        offset: `[X]`, for each node, which of the parent's children it is, from 0.
        slot: `[Y]`, for each parent, its place among the parents of its request.
        padded: `[B, A]`, the parents request by request, rising; `n_level` where there are no more.
    """

    parents: Nodes
    child_of: Int[Tensor, " X"]
    offset: Int[Tensor, " X"]
    slot: Int[Tensor, " Y"]
    padded: Int[Tensor, "B A"]

    @classmethod
    def of(cls, trie: Trie, level: int, nodes: Nodes, rows: int) -> Family:
        """The family of nodes of `level + 1`."""
        pointers = trie.first_child(level)
        size = trie.level_size[level]
        parent = torch.searchsorted(pointers, nodes.node.to(pointers.dtype), right=True) - 1
        keys, child_of = torch.unique_consecutive(nodes.row * size + parent, return_inverse=True)
        row = keys // size
        parents = Nodes(row, keys - row * size)
        counts = torch.zeros(rows, dtype=torch.int64, device=row.device).index_add_(0, row, torch.ones_like(row))
        slot = torch.arange(row.shape[0], device=row.device) - (counts.cumsum(0) - counts)[row]
        padded = row.new_full((rows, int(counts.max()) if rows else 0), size)
        padded[row, slot] = parents.node
        return cls(parents, child_of, nodes.node - pointers[parent].long(), slot, padded)

    def marks(self, trie: Trie, level: int, value: Float[Tensor, " X"], other: float) -> Marks:
        """Marks that say `value` of the nodes and `other` of their siblings."""
        shape = (*self.padded.shape, trie.branching[level])
        index = (self.parents.row[self.child_of], self.slot[self.child_of], self.offset)
        return Marks(self.padded, value.new_full(shape, other).index_put(index, value))


@dataclass(frozen=True)
class Marks:
    """A number for each child of some nodes of a level; 0 for the children of every other node.

    Args:
        parents: `[B, A]`, rising; a number past the last node where a request has fewer.
        values: `[B, A, C]`.
    """

    parents: Int[Tensor, "B A"]
    values: Float[Tensor, "B A C"]

    def add_to(self, scores: Float[Tensor, "B M C"], nodes: Int[Tensor, "B M"]) -> Float[Tensor, "B M C"]:
        """The scores of the nodes' children with their marks added."""
        if self.parents.shape[1] == 0:
            return scores
        place = torch.searchsorted(self.parents, nodes.contiguous()).clamp(max=self.parents.shape[1] - 1)
        marked = self.parents.gather(1, place) == nodes
        values = self.values.gather(1, place.unsqueeze(-1).expand(-1, -1, self.values.shape[-1]))
        return scores + values.masked_fill(~marked.unsqueeze(-1), 0.0)


def dead_branches(legal: LegalSet) -> tuple[Marks, ...]:
    """Marks for levels `0 .. L − 1`: −inf on every child without a legal leaf below it, 0 on the others.

    Where the legal set is given by what it excludes, only nodes with a dead child are marked, which are few but at the
    last level.
    """
    trie, rows = legal.trie, len(legal)
    dead_value, default = (0.0, float("-inf")) if legal.inclusive else (float("-inf"), 0.0)
    nodes = Nodes(legal.leaves.row_ids(), legal.leaves.values)
    levels: list[Marks] = []
    for level in reversed(range(trie.depth)):
        family = Family.of(trie, level, nodes, rows)
        value = torch.full(nodes.node.shape, dead_value, device=nodes.node.device)
        levels.append(family.marks(trie, level, value, default))
        nodes = family.parents
        if not legal.inclusive:
            all_dead = _child_count(trie, level, nodes) == torch.bincount(family.child_of, minlength=len(nodes.node))
            nodes = Nodes(nodes.row[all_dead], nodes.node[all_dead])
    return tuple(levels[::-1])


def _child_count(trie: Trie, level: int, nodes: Nodes) -> Int[Tensor, " X"]:
    pointers = trie.first_child(level)
    return (pointers[nodes.node + 1] - pointers[nodes.node]).long()
