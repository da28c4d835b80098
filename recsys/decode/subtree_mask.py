"""Masks over the subtrees of a trie, request by request, looked up for all beams with one gather."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.decode.legal import LegalSet
from recsys.items.trie import Trie


@dataclass(frozen=True)
class TrieNodes:
    """Some nodes of one level for each of `B` requests: `X` pairs, rising by request and node, distinct.

    Args:
        row: `[X]`, the request.
        node: `[X]`, the node.
    """

    row: Int[Tensor, " X"]
    node: Int[Tensor, " X"]


@dataclass(frozen=True)
class ParentNodes:
    """The parents of some nodes, and where each node stands below its parent.

    Args:
        parents: `Y` parents, each once.
        child_of: `[X]`, for each node, which of the parents is its own.
        offset: `[X]`, for each node, which of the parent's children it is, from 0.
        slot: `[Y]`, for each parent, its place among the parents of its request.
        padded: `[B, A]`, the parents request by request, rising; `n_level` where there are no more.
    """

    parents: TrieNodes
    child_of: Int[Tensor, " X"]
    offset: Int[Tensor, " X"]
    slot: Int[Tensor, " Y"]
    padded: Int[Tensor, "B A"]

    @classmethod
    def of(cls, trie: Trie, level: int, nodes: TrieNodes, rows: int) -> ParentNodes:
        """Return the parents, at `level`, of nodes of `level + 1`."""
        pointers = trie.first_child(level)
        size = trie.level_size[level]
        parent = torch.searchsorted(pointers, nodes.node.to(pointers.dtype), right=True) - 1
        keys, child_of = torch.unique_consecutive(nodes.row * size + parent, return_inverse=True)
        row = keys // size
        parents = TrieNodes(row, keys - row * size)
        counts = torch.bincount(row, minlength=rows)
        slot = torch.arange(row.shape[0], device=row.device) - (counts.cumsum(0) - counts)[row]
        padded = row.new_full((rows, int(counts.max()) if rows else 0), size)
        padded[row, slot] = parents.node
        return cls(parents, child_of, nodes.node - pointers[parent].long(), slot, padded)

    def subtree_mask(self, trie: Trie, level: int, value: Float[Tensor, " X"], other: float) -> SubtreeMask:
        """Return the mask that holds `value` at the nodes and `other` at their siblings."""
        count = self.slot.shape[0]
        values = value.new_zeros(count + 1, trie.branching[level])
        values[:count] = other
        values = values.index_put((self.child_of, self.offset), value)
        index = torch.zeros_like(self.padded)
        index[self.parents.row, self.slot] = torch.arange(count, device=index.device)
        return SubtreeMask(self.padded, index, values)


@dataclass(frozen=True)
class SubtreeMask:
    """A number for each child of some nodes of a level; 0 for the children of every other node.

    Args:
        parents: `[B, A]`, the nodes, rising; a number past the last node where a request has fewer.
        index: `[B, A]`, where in `values` a node's children are.
        values: `[Y + 1, C]`; the last row is 0.
    """

    parents: Int[Tensor, "B A"]
    index: Int[Tensor, "B A"]
    values: Float[Tensor, "Y_plus_one C"]

    def select(self, rows: Int[Tensor, " R"]) -> SubtreeMask:
        """Return the masks of the named requests, in the order named."""
        return SubtreeMask(self.parents[rows], self.index[rows], self.values)

    def add_to(self, scores: Float[Tensor, "B M C"], nodes: Int[Tensor, "B M"]) -> Float[Tensor, "B M C"]:
        """Return the scores of the nodes' children with their numbers added."""
        if self.parents.shape[1] == 0:
            return scores
        place = torch.searchsorted(self.parents, nodes.contiguous()).clamp(max=self.parents.shape[1] - 1)
        marked = self.parents.gather(1, place) == nodes
        index = self.index.gather(1, place).where(marked, self.values.shape[0] - 1)
        return scores + self.values[index]


def dead_branches(legal: LegalSet) -> tuple[SubtreeMask, ...]:
    """Return masks for levels `0 .. L − 1`: −inf on every child without a legal leaf below it, 0 on the others.

    Where the legal set is given by what it excludes, only nodes with a dead child are listed, which are few but at the
    last level.
    """
    trie, rows = legal.trie, len(legal)
    dead_value, default = (0.0, float("-inf")) if legal.inclusive else (float("-inf"), 0.0)
    nodes = TrieNodes(legal.leaves.row_ids(), legal.leaves.values)
    levels: list[SubtreeMask] = []
    for level in reversed(range(trie.depth)):
        parent_nodes = ParentNodes.of(trie, level, nodes, rows)
        value = torch.full(nodes.node.shape, dead_value, device=nodes.node.device)
        levels.append(parent_nodes.subtree_mask(trie, level, value, default))
        nodes = parent_nodes.parents
        if not legal.inclusive:
            all_dead = _child_count(trie, level, nodes) == torch.bincount(
                parent_nodes.child_of, minlength=len(nodes.node)
            )
            nodes = TrieNodes(nodes.row[all_dead], nodes.node[all_dead])
    return tuple(levels[::-1])


def _child_count(trie: Trie, level: int, nodes: TrieNodes) -> Int[Tensor, " X"]:
    pointers = trie.first_child(level)
    return (pointers[nodes.node + 1] - pointers[nodes.node]).long()
