"""Reads columns of a table as tensors, batch by batch, and turns raw ids into indices."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor

BATCH_ROWS = 1 << 16
"""Rows of a part, where nothing else is asked for."""


def row_batches(frame: pl.LazyFrame, size: int = BATCH_ROWS) -> Iterator[tuple[int, pl.DataFrame]]:
    """The table's rows, some `size` at once, in order, each part with the number of its first row.

    >>> [(start, len(part)) for start, part in row_batches(pl.LazyFrame({"a": [1, 2, 3]}), 2)]
    [(0, 2), (2, 1)]
    """
    start = 0
    for part in frame.collect_batches(chunk_size=size, maintain_order=True, engine="streaming"):
        for piece in part.iter_slices(size):
            if len(piece):
                yield start, piece
                start += len(piece)


def to_float64(column: pl.Series) -> Float[Tensor, " n"]:
    """A column of numbers in float64."""
    return torch.from_numpy(column.cast(pl.Float64).to_numpy().copy())


def to_matrix(column: pl.Series) -> Float[Tensor, "n F"]:
    """A column of lists of equal length in float64.

    >>> to_matrix(pl.Series([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    return to_float64(column.explode()).view(len(column), -1)


def list_lengths(lists: pl.Series) -> Int[Tensor, " n"]:
    """`[n]`, of a column of lists."""
    return torch.from_numpy(lists.list.len().cast(pl.Int64).to_numpy().copy())


def pad_rows(
    values: Float[Tensor, " total"] | Int[Tensor, " total"], sizes: Int[Tensor, " n"], width: int, fill: float
) -> Tensor:
    """`[n, width]`, rows of unequal length with `fill` behind them.

    >>> pad_rows(torch.tensor([7, 8, 9]), torch.tensor([1, 2]), 2, -1).tolist()
    [[7, -1], [8, 9]]
    """
    there = torch.arange(width) < sizes.unsqueeze(1)
    return values.new_full((len(sizes), width), fill).masked_scatter_(there, values)


DENSE = 8
"""Integer ids are looked up in a table where their span is at most so many times their number."""

READ, HELD = 1 << 20, 1 << 22
"""Rows read at once to gather ids, and ids held beyond twice those that are known before they are made one."""


def distinct_ids(frame: pl.LazyFrame, ids: pl.Expr) -> pl.Series:
    """The ids that come up, rising, without null; memory grows with how many there are, not with the rows.

    >>> distinct_ids(pl.LazyFrame({"action": ["b", "a", "b"]}), pl.col("action")).to_list()
    ['a', 'b']
    """
    rows = frame.select(ids.alias("id"))
    found = rows.head(0).collect().get_column("id")
    held = [found]
    for _, part in row_batches(rows, READ):
        held.append(part.get_column("id").unique())
        if sum(map(len, held)) > 2 * len(found) + HELD:
            found = pl.concat(held).unique()
            held = [found]
    return pl.concat(held).unique().drop_nulls().sort()


class RawIds:
    """Rising ids, and where each stands among them.

    >>> RawIds(pl.Series(["a", "c"])).indices(pl.Series(["c", "b", "a"])).tolist()
    [1, -1, 0]
    """

    def __init__(self, ids: pl.Series) -> None:
        self.ids = ids
        self._first, self._table = 0, None
        if len(ids) and ids.dtype == pl.Int64 and ids[-1] - ids[0] < DENSE * len(ids):
            self._first = ids[0]
            self._table = torch.full((ids[-1] - ids[0] + 1,), -1, dtype=torch.int32)
            self._table[_tensor(ids) - self._first] = torch.arange(len(ids), dtype=torch.int32)

    def indices(self, values: pl.Series) -> Int[Tensor, " n"]:
        """`[n]`, −1 for what is not among them."""
        if not len(self.ids):
            return torch.full((len(values),), -1)
        values = values.cast(self.ids.dtype)
        if self._table is not None:
            place = _tensor(values.fill_null(self._first - 1)) - self._first
            inside = (place >= 0) & (place < len(self._table))
            return torch.where(inside, self._table[place.clamp(0, len(self._table) - 1)], -1).long()
        place = self.ids.search_sorted(values).cast(pl.Int64).clip(upper_bound=len(self.ids) - 1)
        found = (self.ids.gather(place) == values).fill_null(False)
        return _tensor(pl.select(pl.when(found).then(place).otherwise(-1)).to_series())


def _tensor(column: pl.Series) -> Int[Tensor, " n"]:
    return torch.from_numpy(column.to_numpy().copy())
