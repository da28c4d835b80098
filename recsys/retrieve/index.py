"""The protocol of an index of item vectors, and exact search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from recsys.decode.top_k import top_k


@runtime_checkable
class Index(Protocol):
    """An index over the vectors of `N` items, which finds the best items for a query."""

    num_items: int

    def search(self, queries: Float[Tensor, "B D"], k: int) -> tuple[Float[Tensor, "B k"], Int[Tensor, "B k"]]:
        """Return the scores and the item indices of the `k` best items of each query, best first.

        A higher score is better. Which of equal scores come first has nothing to do with the numbers of the items
        (`recsys.decode.top_k`): otherwise items would be retrieved for their names. It is the same for all queries, so
        that equal queries get equal items. An index may find fewer than `k` items, because it
        holds fewer or because its search is approximate; the remaining places hold item −1 with score −inf.
        """
        ...


class ExactIndex(nn.Module, Index):
    """An index that scores every item, block by block.

    A search takes memory for `B × (block + k)` scores and time for `B × N` of them.

    Args:
        vectors: `[N, D]`, one vector an item.
        affinity: function from queries `[B, D]` and vectors `[n, D]` to scores `[B, n]`; see `recsys.nn.affinity`.
        block: number of items that are scored at once.

    >>> from recsys.nn.affinity import inner_product
    >>> index = ExactIndex(torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]]), inner_product)
    >>> index.search(torch.tensor([[1.0, 1.0]]), 2)
    (tensor([[4., 2.]]), tensor([[2, 1]]))
    """

    def __init__(
        self, vectors: Float[Tensor, "N D"], affinity: Callable[[Tensor, Tensor], Tensor], block: int = 65_536
    ) -> None:
        super().__init__()
        self.num_items = len(vectors)
        self.affinity = affinity
        self.block = block
        self.vectors: Tensor
        self.register_buffer("vectors", vectors)

    @override
    @torch.no_grad()
    def search(self, queries: Float[Tensor, "B D"], k: int) -> tuple[Float[Tensor, "B k"], Int[Tensor, "B k"]]:
        scores = queries.new_full((len(queries), k), float("-inf"))
        items = torch.full((len(queries), k), -1, device=queries.device)
        for start in range(0, self.num_items, self.block):
            found = self.affinity(queries, self.vectors[start : start + self.block])
            here = torch.arange(start, start + found.shape[1], device=queries.device).unsqueeze(0)
            best, place = top_k(found, min(k, found.shape[1]), names=here)
            items = torch.cat([items, place + start], 1)
            scores, order = top_k(torch.cat([scores, best], 1), k, names=items)
            items = items.gather(1, order)
        return scores, items
