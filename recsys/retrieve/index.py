"""The contract of an index of item vectors, and exact search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


@runtime_checkable
class Index(Protocol):
    """`N` items that can be searched."""

    num_items: int

    def search(self, queries: Float[Tensor, "B D"], k: int) -> tuple[Float[Tensor, "B k"], Int[Tensor, "B k"]]:
        """Scores and items of the `k` best for each query, best first; higher is better, ties in any order.

        Where fewer are found, because there are no more or because an approximate search did not come by them, the
        rest is item −1 with score −inf.
        """
        ...


class ExactIndex(nn.Module):
    """The best of all items, which are scored in blocks: needs memory for `B × (block + k)` scores, time for `B × N`.

    Args:
        vectors: `[N, D]`, of the items.
        affinity: scores `[B, n]` of queries `[B, D]` and a block of vectors `[n, D]`; `recsys.nn.affinity`.
        block: items at once.

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

    @torch.no_grad()
    def search(self, queries: Float[Tensor, "B D"], k: int) -> tuple[Float[Tensor, "B k"], Int[Tensor, "B k"]]:
        """See `Index.search`."""
        scores = queries.new_full((len(queries), k), float("-inf"))
        items = torch.full((len(queries), k), -1, device=queries.device)
        for start in range(0, self.num_items, self.block):
            found = self.affinity(queries, self.vectors[start : start + self.block])
            best, place = found.topk(min(k, found.shape[1]))
            scores, order = torch.cat([scores, best], 1).topk(k)
            items = torch.cat([items, place + start], 1).gather(1, order)
        return scores, items
