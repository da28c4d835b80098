"""Weights trained on the first items of a catalogue, carried over to the whole of it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from recsys.items.trie import Trie


def with_siblings_mean(rows: Float[Tensor, "N D"], codes: Int[Tensor, "M L"], trie: Trie) -> Float[Tensor, "M D"]:
    """Return the rows of `N` items, then rows for the `M − N` items behind them: the mean of the known siblings' each.

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
    """Return the rows of a level's nodes at the places that their nodes have in a larger trie; new nodes get the row 0.

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
    """Return the rows followed by rows of zeros."""
    return pad(rows, (0, 0, 0, size - rows.shape[0]))


def with_catalogue_of(state: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`weights`, but with the arrays of the trie as they are in `state`."""
    return {name: state[name] if name.startswith("trie.") else value for name, value in weights.items()}
