"""The item-based nearest-neighbour baseline."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.decode.top_k import top_k
from recsys.policies.baselines.item_to_item import ItemToItem, sparse_product
from recsys.policies.baselines.popularity import interactions
from recsys.ranges import at_least, within
from recsys.types.context import Context
from recsys.types.jagged import Jagged

BLOCK_NUMBERS = 2**24


class ItemKNN(ItemToItem):
    """Item-based nearest neighbours: the link from `a` to `b` is their cosine, `n_ab / (√(n_a n_b) + shrinkage)`.

    `n_a` is the number of users with item `a`, `n_ab` the number with both; counts and order within a user do not
    matter. Links to the nearest `b` of each `a` are kept. `ItemToItem` turns links into a policy.

    Source: Deshpande and Karypis 2004, "Item-based top-N recommendation algorithms".

    Args:
        train: one row a user, with the training events as history.
        num_items: number of items `N`.
        neighbours: number of links of an item, at least 1.
        shrinkage: number of users, at least 0, which shrinks the cosine of rare items towards 0.
        decay: weight of an item of the history relative to the next one, in (0, 1]. The published form has decay 1 and
            window None; it ranks far worse on MovieLens and Amazon Beauty.
        window: number of latest items of the history that are read; None reads all.
        back_off: probability of the popularity part, in (0, 1).
    """

    def __init__(
        self,
        train: Context,
        num_items: int,
        neighbours: int = 100,
        shrinkage: float = 10.0,
        decay: float = 0.6,
        window: int | None = 5,
        back_off: float = 0.1,
    ) -> None:
        at_least(1, num_items=num_items, neighbours=neighbours, window=window)
        at_least(0, shrinkage=shrinkage)
        within(0, 1, decay=decay, back_off=back_off)
        train.check(num_items, ["history"])
        links = cosine_neighbours(train.history, num_items, neighbours, shrinkage)
        super().__init__(links, interactions(train, num_items), decay, window, back_off)


def cosine_neighbours(
    sequences: Jagged, num_items: int, neighbours: int, shrinkage: float = 0.0
) -> Float[Tensor, "N N"]:
    """Return the nearest items of each item by the cosine over users, as a coalesced sparse matrix of positive values.

    Items are processed in blocks, so memory grows with `N` instead of `N²`.

    >>> cosine_neighbours(Jagged.from_rows([[0, 1], [0, 1], [0, 2]]), 3, neighbours=1).to_dense()
    tensor([[0.0000, 0.8165, 0.0000],
            [0.8165, 0.0000, 0.0000],
            [0.5774, 0.0000, 0.0000]])
    """
    pairs = torch.stack([sequences.values, sequences.row_ids()]).unique(dim=1)
    shape = (len(sequences), num_items)
    users = torch.sparse_coo_tensor(pairs.flip(0), torch.ones(pairs.shape[1]), shape, check_invariants=False).coalesce()
    taken = torch.bincount(pairs[0], minlength=num_items).float()
    block = max(1, BLOCK_NUMBERS // num_items)
    blocks = [
        _nearest_of(pairs, users, taken, range(first, min(first + block, num_items)), neighbours, shrinkage)
        for first in range(0, num_items, block)
    ]
    rows, columns, cosines = (torch.cat(parts) for parts in zip(*blocks, strict=True))
    shape = (num_items, num_items)
    return torch.sparse_coo_tensor(torch.stack([rows, columns]), cosines, shape, check_invariants=False).coalesce()


def _nearest_of(
    pairs: Tensor, users: Tensor, taken: Tensor, items: range, neighbours: int, shrinkage: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return rows, columns and cosines of the links of a range of items; `pairs` are sorted by item."""
    first, last = torch.searchsorted(pairs[0].contiguous(), torch.tensor([items.start, items.stop])).tolist()
    item, user = pairs[:, first:last]
    takers = torch.sparse_coo_tensor(
        torch.stack([item - items.start, user]),
        torch.ones(last - first),
        (len(items), users.shape[0]),
        check_invariants=False,
    )
    together = sparse_product(takers, users).to_dense()
    own = torch.arange(items.start, items.stop)
    together[torch.arange(len(items)), own] = 0
    cosine = together / ((taken[own].unsqueeze(1) * taken).sqrt() + shrinkage).clamp(min=1e-12)
    nearest, columns = top_k(cosine, min(neighbours, cosine.shape[1]), own)
    kept = nearest > 0
    return own.unsqueeze(1).expand_as(columns)[kept], columns[kept], nearest[kept]
