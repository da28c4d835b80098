"""Ids of a log as indices from 0."""

from __future__ import annotations

import polars as pl
import torch
from jaxtyping import Int
from torch import Tensor


def distinct(frame: pl.LazyFrame, ids: pl.Expr) -> pl.Series:
    """The ids that come up, rising, without null.

    >>> distinct(pl.LazyFrame({"action": ["b", "a", "b"]}), pl.col("action")).to_list()
    ['a', 'b']
    """
    found = frame.select(ids.unique().alias("id")).collect(engine="streaming").get_column("id")
    return found.drop_nulls().sort()


def indices(ids: pl.Series, values: pl.Series) -> Int[Tensor, " n"]:
    """`[n]`, where each value stands among rising ids; −1 where it does not.

    >>> indices(pl.Series(["a", "c"]), pl.Series(["c", "b", "a"])).tolist()
    [1, -1, 0]
    """
    if not len(ids):
        return torch.full((len(values),), -1)
    values = values.cast(ids.dtype)
    place = ids.search_sorted(values).cast(pl.Int64).clip(upper_bound=len(ids) - 1)
    found = (ids.gather(place) == values).fill_null(False)
    place = pl.select(pl.when(found).then(place).otherwise(-1)).to_series()
    return torch.from_numpy(place.to_numpy().copy())
