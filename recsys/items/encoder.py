"""The protocol of item encoders, and the concatenation of several encoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from recsys.types.jagged import Jagged


@runtime_checkable
class ItemEncoder(Protocol):
    """An encoder, which computes a vector of width `D` for each of `N` items."""

    def encode(
        self, items: pl.DataFrame, sequences: Jagged, num_items: int, generator: torch.Generator
    ) -> Float[Tensor, "N D"]:
        """Return one float32 vector an item. An item without information gets the zero vector.

        Args:
            items: the item table, one row an item, in the order of its column `item`.
            sequences: items of each user's training history, oldest first.
            num_items: number of items `N`.
            generator: source of all randomness.

        Raises:
            DataError: table or histories do not hold what the encoder reads.
        """
        ...


class ConcatenatedEncoder(ItemEncoder):
    """An encoder that concatenates the vectors of several encoders. Its width is the sum of their widths.

    Args:
        encoders: the encoders, in the order of their columns.
    """

    def __init__(self, encoders: Sequence[ItemEncoder]) -> None:
        self.encoders = tuple(encoders)

    @override
    def encode(
        self, items: pl.DataFrame, sequences: Jagged, num_items: int, generator: torch.Generator
    ) -> Float[Tensor, "N D"]:
        return torch.cat([encoder.encode(items, sequences, num_items, generator) for encoder in self.encoders], -1)
