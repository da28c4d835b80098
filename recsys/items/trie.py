"""The trie: the catalogue as a tree of codes, in flat arrays, so that a search expands all beams with one gather."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int, Integer
from torch import Tensor, nn
from typing_extensions import override

from recsys.errors import DataError


@dataclass(frozen=True)
class Children:
    """The children of a tensor of nodes, in code order, padded to the largest number of children of the level.

    Args:
        nodes: `[..., C]`, int64, index of each child among the nodes of the next level. Padding repeats the last child.
        mask: `[..., C]`, true for children that exist, false for padding.
        level_token: `[n]`, the code on the edge into each node of the next level.
    """

    nodes: Int[Tensor, "*nodes C"]
    mask: Bool[Tensor, "*nodes C"]
    level_token: Integer[Tensor, " n"]

    @property
    def tokens(self) -> Int[Tensor, "*nodes C"]:
        """Codes on the edges to the children, `[..., C]`, int64. They are gathered on each access."""
        return self.level_token[self.nodes].long()


class Trie(nn.Module):
    """A tree of codes whose `N` leaves are the items of the catalogue.

    Level 0 is the root, level `L` holds the leaves. The nodes of a level are numbered in lexicographic order of the
    codes that lead to them. The children of a node are therefore consecutive, and two arrays a level describe the tree:

        codes       item 0: (0, 1)   item 1: (1, 0)   item 2: (0, 0)
        level 0     first_child [0, 2]
        level 1     token [0, 1]            first_child [0, 2, 3]
        level 2     token [0, 1, 0]         leaf_item [2, 0, 1]

    The arrays are buffers: they move with `.to(device)` and are part of the state dict. `from_codes` builds a trie.

    Args:
        first_child: a tensor `[n_level + 1]` (int32) for each of the levels `0 .. L − 1`; see the method.
        token: a tensor `[n_level]` for each of the levels `1 .. L`; see the method.
        leaf_item: `[N]`, the item of each leaf.

    Attributes:
        depth: number of levels `L`.
        num_items: number of items `N`.
        level_size: number of nodes of each of the levels `0 .. L`; the first is 1, the last `N`.
        branching: the largest number of children `C` of a node, for each of the levels `0 .. L − 1`.
        codes_per_level: the largest code in use on each of the levels `1 .. L`, plus one.
    """

    leaf_item: Int[Tensor, " N"]
    item_leaf: Int[Tensor, " N"]

    def __init__(self, first_child: list[Tensor], token: list[Tensor], leaf_item: Int[Tensor, " N"]) -> None:
        super().__init__()
        self.depth = len(token)
        self.num_items = leaf_item.numel()
        self.level_size = (1, *(codes.numel() for codes in token))
        for level, pointers in enumerate(first_child):
            self.register_buffer(f"first_child_{level}", pointers)
        for level, codes in enumerate(token, start=1):
            self.register_buffer(f"token_{level}", codes)
        self.register_buffer("leaf_item", leaf_item)
        self.register_buffer("item_leaf", torch.empty_like(leaf_item).scatter_(0, leaf_item, _arange_like(leaf_item)))
        self._measure()
        self.register_load_state_dict_post_hook(lambda module, keys: self._measure())

    @classmethod
    def from_codes(cls, codes: Int[Tensor, "N L"]) -> Trie:
        """Return the trie of `N` items. Row `i` of `codes` holds the codes of item `i`.

        The time is linear in `N × L` if the rows are in lexicographic order; otherwise each level is sorted once.

        Raises:
            DataError: there is no item, a code is negative, or two items share all their codes.

        >>> trie = Trie.from_codes(torch.tensor([[0, 1], [1, 0], [0, 0]]))
        >>> trie.level_size, trie.branching, trie.leaf_item
        ((1, 2, 3), (2, 2), tensor([2, 0, 1]))
        >>> trie.expand(trie.root(1), level=0).tokens
        tensor([[[0, 1]]])
        """
        if codes.numel() == 0 or int(codes.min()) < 0:
            raise DataError(f"a trie needs at least one item and codes from 0 on, found codes of shape {codes.shape}")
        columns = codes.to(_smallest_dtype(int(codes.max()))).T.contiguous()
        order = torch.arange(codes.shape[0], device=codes.device)
        if not _is_sorted(columns):
            order = _lexicographic_order(columns)
            columns = columns[:, order]
        first_child, token = [], []
        starts_node = torch.zeros(codes.shape[0], dtype=torch.bool, device=codes.device)
        starts_node[0] = True
        parents = torch.zeros(1, dtype=torch.int64, device=codes.device)
        for column in columns:
            starts_node[1:] |= column[1:] != column[:-1]
            nodes = starts_node.nonzero().squeeze(-1)
            rank = starts_node.cumsum(0, dtype=torch.int32)[parents] - 1
            first_child.append(torch.cat([rank, rank.new_tensor([nodes.numel()])]))
            token.append(column[nodes])
            parents = nodes
        if parents.numel() < codes.shape[0]:
            twin = int((~starts_node).nonzero()[0])
            first, second = sorted(order[[twin - 1, twin]].tolist())
            raise DataError(
                f"items {first} and {second} share the codes {codes[second].tolist()}. "
                "Make codes distinct with a collision policy, such as recsys.items.ExtraCode"
            )
        return cls(first_child, token, order)

    def first_child(self, level: int) -> Int[Tensor, " n_level_plus_one"]:
        """Return the array `first_child` of a level from 0 to `L − 1`, `[n_level + 1]`, int32.

        The children of node `i` are the nodes `first_child[i] .. first_child[i + 1] − 1` of the next level.
        """
        return self.get_buffer(f"first_child_{level}")

    def token(self, level: int) -> Integer[Tensor, " n_level"]:
        """Return the code on the edge into each node of a level from 1 to `L`, `[n_level]`."""
        return self.get_buffer(f"token_{level}")

    def root(self, rows: int) -> Int[Tensor, "rows 1"]:
        """Return the root as the only beam of each row, `[rows, 1]`."""
        return torch.zeros(rows, 1, dtype=torch.int64, device=self.leaf_item.device)

    def expand(self, nodes: Int[Tensor, "*nodes"], level: int) -> Children:
        """Return the children of a tensor of nodes of a level from 0 to `L − 1`; `C` is `branching[level]`."""
        pointers = self.first_child(level)
        low = pointers[nodes].long().unsqueeze(-1)
        high = pointers[nodes + 1].long().unsqueeze(-1)
        offset = torch.arange(self.branching[level], device=pointers.device)
        return Children(torch.minimum(low + offset, high - 1), offset < high - low, self.token(level + 1))

    def equals(self, other: Trie) -> bool:
        """Whether items part at the same codes in both, so that log-probabilities of codes can be compared.

        Args:
            other: a trie on the same device.

        >>> codes = torch.tensor([[0, 1], [0, 2], [1, 0]])
        >>> [Trie.from_codes(codes).equals(Trie.from_codes(other)) for other in (codes + 1, codes.flip(0))]
        [True, False]
        """
        if self.level_size != other.level_size:
            return False
        every = torch.arange(self.num_items, device=self.leaf_item.device)
        return torch.equal(self.path(every), other.path(every))

    def path(self, items: Int[Tensor, "*items"]) -> Int[Tensor, "*items L"]:
        """Return the nodes on the path of each item at levels `1 .. L`, `[..., L]`. The search starts at the leaf.

        >>> Trie.from_codes(torch.tensor([[0, 1], [1, 0], [0, 0]])).path(torch.tensor([0, 1]))
        tensor([[0, 1],
                [1, 2]])
        """
        node = self.item_leaf[items]
        path = [node]
        for level in range(self.depth - 1, 0, -1):
            pointers = self.first_child(level)
            node = torch.searchsorted(pointers, node.to(pointers.dtype), right=True) - 1
            path.append(node)
        return torch.stack(path[::-1], -1)

    def leaf_range(
        self, level: int, nodes: Int[Tensor, "*nodes"] | None = None
    ) -> tuple[Int[Tensor, "*nodes"], Int[Tensor, "*nodes"]]:
        """Return the leaves below nodes of a level, as bounds `low` and `high` of `low .. high − 1` (int64).

        Args:
            level: from 0 (the root, above every leaf) to `L` (the leaves themselves).
            nodes: nodes of the level; None means all of them, in order.

        >>> Trie.from_codes(torch.tensor([[0, 1], [1, 0], [0, 0]])).leaf_range(1)
        (tensor([0, 2]), tensor([2, 3]))
        """
        low = torch.arange(self.level_size[level], device=self.leaf_item.device) if nodes is None else nodes
        high = low + 1
        for below in range(level, self.depth):
            low, high = self.first_child(below)[low], self.first_child(below)[high]
        return low.long(), high.long()

    @property
    def nbytes(self) -> int:
        """Bytes of pointers and tokens. The map from leaves to items is not counted: it belongs to the semantic IDs."""
        buffers = [self.first_child(level) for level in range(self.depth)]
        buffers += [self.token(level) for level in range(1, self.depth + 1)]
        return sum(buffer.nbytes for buffer in buffers)

    def _measure(self) -> None:
        """Compute `branching` and `codes_per_level` from the buffers."""
        self.branching = tuple(int(self.first_child(level).diff().max()) for level in range(self.depth))
        self.codes_per_level = tuple(int(self.token(level).max()) + 1 for level in range(1, self.depth + 1))

    @override
    def extra_repr(self) -> str:
        return f"items={self.num_items}, level_size={self.level_size}, branching={self.branching}"


def _arange_like(values: Tensor) -> Tensor:
    return torch.arange(values.numel(), dtype=values.dtype, device=values.device)


def _smallest_dtype(largest: int) -> torch.dtype:
    if largest < 1 << 8:
        return torch.uint8
    return torch.int16 if largest < 1 << 15 else torch.int32


def _is_sorted(columns: Integer[Tensor, "L N"]) -> bool:
    """Return whether the rows are in lexicographic order; equal neighbours are allowed."""
    equal = torch.ones(columns.shape[1] - 1, dtype=torch.bool, device=columns.device)
    for column in columns:
        if bool((equal & (column[1:] < column[:-1])).any()):
            return False
        equal &= column[1:] == column[:-1]
    return True


def _lexicographic_order(columns: Integer[Tensor, "L N"]) -> Int[Tensor, " N"]:
    """Return the stable order that sorts the rows, by one stable sort a level, the least significant level first."""
    order = torch.arange(columns.shape[1], device=columns.device)
    for column in columns.flip(0):
        order = order[column[order].argsort(stable=True)]
    return order
