"""The item encoder contract, and the concatenation of several encoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.types.jagged import Jagged


@runtime_checkable
class ItemEncoder(Protocol):
    """Vectors of width `D` for a catalogue of `N` items."""

    def encode(
        self, items: pl.DataFrame, sequences: Jagged, num_items: int, generator: torch.Generator
    ) -> Float[Tensor, "N D"]:
        """One float32 vector an item; zero where the encoder knows nothing of it.

        Args:
            items: the item table, a row an item in the order of its column `item`.
            sequences: items of each user's training history, oldest first.
            num_items: `N`.
            generator: all randomness.
        """
        ...


class ConcatenatedEncoder:
    """Several encoders' vectors side by side.

    Args:
        encoders: in the order of their columns.
    """

    def __init__(self, encoders: Sequence[ItemEncoder]) -> None:
        self.encoders = tuple(encoders)

    def encode(
        self, items: pl.DataFrame, sequences: Jagged, num_items: int, generator: torch.Generator
    ) -> Float[Tensor, "N D"]:
        """See `ItemEncoder`; the width is the sum of the encoders' widths."""
        return torch.cat([encoder.encode(items, sequences, num_items, generator) for encoder in self.encoders], -1)
