"""What finds the best of many items without policies having to score them all."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor


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
