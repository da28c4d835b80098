"""Rows of a table in parts, as tensors, in memory that does not grow with the table."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor

SIZE = 1 << 16
"""Rows of a part, where nothing else is asked for."""


def parts(frame: pl.LazyFrame, size: int = SIZE) -> Iterator[tuple[int, pl.DataFrame]]:
    """The table's rows, some `size` at once, in order, each part with the number of its first row.

    >>> [(start, len(part)) for start, part in parts(pl.LazyFrame({"a": [1, 2, 3]}), 2)]
    [(0, 2), (2, 1)]
    """
    start = 0
    for part in frame.collect_batches(chunk_size=size, maintain_order=True, engine="streaming"):
        for piece in part.iter_slices(size):
            if len(piece):
                yield start, piece
                start += len(piece)


def numbers(column: pl.Series) -> Float[Tensor, " n"]:
    """A column of numbers in float64."""
    return torch.from_numpy(column.cast(pl.Float64).to_numpy().copy())


def matrix(column: pl.Series) -> Float[Tensor, "n F"]:
    """A column of lists of equal length in float64.

    >>> matrix(pl.Series([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    return numbers(column.explode()).view(len(column), -1)


def lengths(lists: pl.Series) -> Int[Tensor, " n"]:
    """`[n]`, of a column of lists."""
    return torch.from_numpy(lists.list.len().cast(pl.Int64).to_numpy().copy())


def flush_left(
    values: Float[Tensor, " total"] | Int[Tensor, " total"], sizes: Int[Tensor, " n"], width: int, fill: float
) -> Tensor:
    """`[n, width]`, rows of unequal length with `fill` behind them.

    >>> flush_left(torch.tensor([7, 8, 9]), torch.tensor([1, 2]), 2, -1).tolist()
    [[7, -1], [8, 9]]
    """
    there = torch.arange(width) < sizes.unsqueeze(1)
    return values.new_full((len(sizes), width), fill).masked_scatter_(there, values)
