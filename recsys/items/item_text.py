"""What the item table says of each item, as one string."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from recsys.errors import DataError


def item_text(items: pl.DataFrame, columns: Sequence[str]) -> list[str]:
    """One string an item: the named columns that the table has, in the order named, joined by spaces.

    Lists are joined by spaces too, other types are written as polars writes them, nulls are left out.

    Raises:
        DataError: the table has none of the columns.

    >>> table = pl.DataFrame({"title": ["Heat", None], "genres": [["Crime", "Drama"], ["Comedy"]]})
    >>> item_text(table, ["title", "genres"])
    ['Heat Crime Drama', 'Comedy']
    """
    present = [column for column in columns if column in items.columns]
    if not present:
        raise DataError(f"item table: none of the text columns {list(columns)} among its columns {items.columns}")
    parts = []
    for column in present:
        if items.schema[column].base_type() is pl.List:
            parts.append(pl.col(column).cast(pl.List(pl.String)).list.join(" ", ignore_nulls=True))
        else:
            parts.append(pl.col(column).cast(pl.String))
    return items.select(pl.concat_str(parts, separator=" ", ignore_nulls=True)).to_series().to_list()
