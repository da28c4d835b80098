"""Rows that a table has twice, looked for in memory that does not grow with the table."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

PART = 10_000_000
"""Rows whose keys are held at once."""


def repeated(frame: pl.LazyFrame, keys: Sequence[str], rows: int) -> bool:
    """Whether some values of the keys come twice together.

    A table that stands by rising first key is read once; another as often as it has `PART` rows.

    Args:
        frame: the table, without nulls in the keys.
        keys: columns of ids.
        rows: how many the table has.

    >>> frame = pl.LazyFrame({"request_id": [2, 1, 2], "action": [7, 7, 8]})
    >>> repeated(frame, ["request_id"], 3), repeated(frame, ["request_id", "action"], 3)
    (True, False)
    """
    first = pl.col(keys[0])
    if frame.select((first > first.shift()).all()).collect(engine="streaming").item():
        return False
    count = 1 + rows // PART
    for part in range(count):
        some = frame.select(keys).filter(pl.struct(keys).hash() % count == part)
        twice = some.group_by(keys).len().filter(pl.col("len") > 1).select(pl.len())
        if twice.collect(engine="streaming").item():
            return True
    return False
