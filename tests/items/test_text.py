from __future__ import annotations

import polars as pl
import pytest
import torch
from torch import Tensor

from recsys.errors import DataError
from recsys.items.text_encoders import TfidfText
from recsys.types.jagged import Jagged

TABLE = pl.DataFrame({"title": ["red car", "red fast car", "blue boat", "slow blue boat", "unknowable"]})


def encode(table: pl.DataFrame = TABLE, **options: object) -> Tensor:
    encoder = TfidfText(**{"dimensions": 3, **options})  # pyright: ignore[reportArgumentType]
    return encoder.encode(table, Jagged.empty(0), table.height, torch.Generator().manual_seed(0))


def test_items_of_the_same_words_point_one_way() -> None:
    vectors = encode()
    similarity = vectors @ vectors.T
    assert similarity[0, 1] == pytest.approx(1, abs=1e-5) and similarity[2, 3] == pytest.approx(1, abs=1e-5)
    assert similarity[0, 2] == pytest.approx(0, abs=1e-5)
    assert not vectors[4].any()
    assert vectors.shape == (5, 3) and vectors.dtype == torch.float32


def test_spare_columns_are_zero() -> None:
    assert not encode(dimensions=9)[:, 4:].any()


def test_lengths_without_normalising_are_those_of_the_words() -> None:
    lengths = encode(dimensions=4, normalise=False).norm(dim=-1)
    assert torch.allclose(lengths, torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0]), atol=1e-5)
    cut, scaled = (encode(dimensions=2, min_items=1, normalise=scale).norm(dim=-1) for scale in (False, True))
    assert (cut[:4] < 0.95).all() and scaled[:4].tolist() == pytest.approx([1, 1, 1, 1])


def test_rare_words_phrases_and_columns_are_options() -> None:
    assert encode(min_items=1)[4].any()
    words, phrases = (encode(longest_phrase=longest, dimensions=4, normalise=False) for longest in (1, 2))
    assert (words[2] @ words[3]).item() == pytest.approx(1) and (phrases[2] @ phrases[3]).item() == pytest.approx(1)
    assert not torch.allclose(words, phrases, atol=1e-3)
    table = TABLE.with_columns(kind=pl.Series(["land", "land", "land", "water", "water"]))
    similarity = encode(table, columns=("kind",)) @ encode(table, columns=("kind",)).T
    assert similarity[0, 2] == pytest.approx(1, abs=1e-5)


def test_refuses_a_table_without_common_words() -> None:
    with pytest.raises(DataError, match="occurs in 4 items or more"):
        encode(min_items=4)
    with pytest.raises(DataError, match="none of the text columns"):
        encode(columns=("plot",))
