from __future__ import annotations

import polars as pl
import pytest

from recsys.errors import DataError
from recsys.items.text_encoders import item_text

TABLE = pl.DataFrame(
    {
        "title": ["Heat", None, None],
        "year": [1995, None, 2001],
        "categories": [["Crime", None, "Drama"], ["Comedy"], []],
    }
)


def test_columns_are_joined_in_the_order_named() -> None:
    assert item_text(TABLE, ["title", "year"]) == ["Heat 1995", "", "2001"]
    assert item_text(TABLE, ["categories", "title"])[:2] == ["Crime Drama Heat", "Comedy"]


def test_columns_that_are_absent_are_passed_over() -> None:
    assert item_text(TABLE, ["text", "title"]) == ["Heat", "", ""]
    with pytest.raises(DataError, match=r"none of the text columns \['text'\]"):
        item_text(TABLE, ["text"])
