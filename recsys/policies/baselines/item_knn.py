"""Item-based nearest neighbours."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.policies.baselines.item_to_item import ItemToItem, sparse_product
from recsys.policies.baselines.popularity import interactions
from recsys.types.context import Context
from recsys.types.jagged import Jagged

BLOCK_NUMBERS = 2**24


class ItemKNN(ItemToItem):
    """The link from `a` to `b` is their cosine `n_ab / (√(n_a n_b) + shrinkage)`, kept for the nearest `b` of each `a`.

    `n_a` users took `a`, `n_ab` took both; how often and in which order does not matter. How links become a policy is
    in `ItemToItem`.
    Source: Deshpande and Karypis 2004, "Item-based top-N recommendation algorithms".

    Args:
        train: one row a user, the history being the training events.
        num_items: `N`.
        neighbours: links kept an item, at least 1.
        shrinkage: pulls the cosine of rarely taken items towards 0, in users, at least 0.
        decay: weight of a history item against the one after it, in (0, 1]. The published form has 1 and a `window` of
            None, which ranks far worse on MovieLens and Amazon Beauty.
        window: items of a history that are read, the latest ones; None reads all.
        back_off: probability left to popularity, in (0, 1).
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
        links = cosine_neighbours(train.history, num_items, neighbours, shrinkage)
        super().__init__(links, interactions(train, num_items), decay, window, back_off)


def cosine_neighbours(
    sequences: Jagged, num_items: int, neighbours: int, shrinkage: float = 0.0
) -> Float[Tensor, "N N"]:
    """Each item's nearest others by cosine over the users who took them, coalesced sparse, values above 0.

    Works through the items in blocks, so that memory grows with `N`, not with `N²`.

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
    """Rows, columns and cosines of the links that leave from a range of items; `pairs` are sorted by item."""
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
    nearest, columns = cosine.topk(min(neighbours, cosine.shape[1]), dim=1)
    kept = nearest > 0
    return own.unsqueeze(1).expand_as(columns)[kept], columns[kept], nearest[kept]
