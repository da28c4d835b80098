"""Read columns of a table as tensors, batch by batch, and map raw ids to indices."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.data.tables.text import as_ids

BATCH_ROWS = 1 << 16
"""Default number of rows of a batch."""


def row_batches(frame: pl.LazyFrame, size: int = BATCH_ROWS) -> Iterator[tuple[int, pl.DataFrame]]:
    """Yield the table's rows in order, in batches of at most `size`, each with the number of its first row.

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
    """Return a column of numbers as a float64 tensor."""
    return torch.from_numpy(column.cast(pl.Float64).to_numpy().copy())


def to_matrix(column: pl.Series) -> Float[Tensor, "n F"]:
    """Return a column of lists of equal length `F` as a float64 matrix.

    >>> to_matrix(pl.Series([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    return to_float64(column.explode()).view(len(column), -1)


def list_lengths(lists: pl.Series) -> Int[Tensor, " n"]:
    """Return the length of each list of a column of lists."""
    return torch.from_numpy(lists.list.len().cast(pl.Int64).to_numpy().copy())


def pad_rows(
    values: Float[Tensor, " total"] | Int[Tensor, " total"], sizes: Int[Tensor, " n"], width: int, fill: float
) -> Tensor:
    """Return rows of unequal length as a matrix `[n, width]`, padded with `fill` on the right.

    Args:
        values: the values of all rows, one row after the other.
        sizes: length of each row, at most `width`.
        width: number of columns of the result.
        fill: value of the padding.

    >>> pad_rows(torch.tensor([7, 8, 9]), torch.tensor([1, 2]), 2, -1).tolist()
    [[7, -1], [8, 9]]
    """
    mask = torch.arange(width) < sizes.unsqueeze(1)
    return values.new_full((len(sizes), width), fill).masked_scatter_(mask, values)


DENSE = 8
"""`RawIds` looks up integer ids in a table if the range of the ids is less than this many times their number."""

ROWS_PER_READ = 1 << 20
"""Number of rows that `distinct_ids` reads at once."""

HELD_IDS = 1 << 22
"""`distinct_ids` removes duplicates when it holds more ids than twice the distinct ones known, plus this number."""


def distinct_ids(frame: pl.LazyFrame, ids: pl.Expr) -> pl.Series:
    """Return the distinct ids of a table, ascending and without null.

    Memory grows with the number of distinct ids, not with the number of rows.

    >>> distinct_ids(pl.LazyFrame({"action": ["b", "a", "b"]}), pl.col("action")).to_list()
    ['a', 'b']
    """
    rows = frame.select(ids.alias("id"))
    found = rows.head(0).collect().get_column("id")
    held = [found]
    for _, part in row_batches(rows, ROWS_PER_READ):
        held.append(part.get_column("id").unique())
        if sum(map(len, held)) > 2 * len(found) + HELD_IDS:
            found = pl.concat(held).unique()
            held = [found]
    return pl.concat(held).unique().drop_nulls().sort()


class RawIds:
    """A map from raw ids to indices.

    Args:
        ids: distinct ids, ascending; index `i` is the id at position `i`.

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
        """Return the index of each value, −1 for values that are not among the ids."""
        if not len(self.ids):
            return torch.full((len(values),), -1)
        if values.dtype != self.ids.dtype:
            values = values.to_frame("id").select(as_ids(pl.col("id"), values.dtype, self.ids.dtype)).to_series()
        if self._table is not None:
            place = _tensor(values.fill_null(self._first - 1)) - self._first
            inside = (place >= 0) & (place < len(self._table))
            return torch.where(inside, self._table[place.clamp(0, len(self._table) - 1)], -1).long()
        place = self.ids.search_sorted(values).cast(pl.Int64).clip(upper_bound=len(self.ids) - 1)
        found = (self.ids.gather(place) == values).fill_null(False)
        return _tensor(pl.select(pl.when(found).then(place).otherwise(-1)).to_series())


def _tensor(column: pl.Series) -> Int[Tensor, " n"]:
    return torch.from_numpy(column.to_numpy().copy())
