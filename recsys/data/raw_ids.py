"""Ids of a log as indices from 0."""

from __future__ import annotations

import polars as pl
import torch
from jaxtyping import Int
from torch import Tensor

from recsys.data.stream import parts

DENSE = 8
"""Integer ids are looked up in a table where their span is at most so many times their number."""

READ, HELD = 1 << 20, 1 << 22
"""Rows read at once to gather ids, and ids held beyond twice those that are known before they are made one."""


def distinct(frame: pl.LazyFrame, ids: pl.Expr) -> pl.Series:
    """The ids that come up, rising, without null; memory grows with how many there are, not with the rows.

    >>> distinct(pl.LazyFrame({"action": ["b", "a", "b"]}), pl.col("action")).to_list()
    ['a', 'b']
    """
    rows = frame.select(ids.alias("id"))
    found = rows.head(0).collect().get_column("id")
    held = [found]
    for _, part in parts(rows, READ):
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
