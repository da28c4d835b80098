from __future__ import annotations

import math

import polars as pl
import pytest
import torch

from recsys.items.quantizer import (
    bucket_of,
    codebook_diagnostics,
    entropy,
    new_item_diagnostics,
    rank_in_bucket,
    sharing,
)
from recsys.items.residual_quantizer import FaissClusterer, ResidualQuantizer


def test_buckets_agree_with_rows_compared_one_by_one() -> None:
    codes = torch.randint(0, 3, (80, 3), generator=torch.Generator().manual_seed(0))
    expected = torch.unique(codes, dim=0, return_inverse=True)[1]
    assert torch.equal(bucket_of(codes), expected)


def test_without_levels_all_share_a_bucket() -> None:
    assert bucket_of(torch.zeros(3, 0, dtype=torch.int64)).tolist() == [0, 0, 0]


def test_rank_counts_the_rows_before() -> None:
    bucket = torch.randint(0, 5, (60,), generator=torch.Generator().manual_seed(0)).tolist()
    expected = [bucket[:row].count(value) for row, value in enumerate(bucket)]
    assert rank_in_bucket(torch.tensor(bucket)).tolist() == expected


def test_every_column_by_hand() -> None:
    quantizer = ResidualQuantizer(FaissClusterer(), levels=2, codes=4)
    quantizer.codebooks = torch.tensor([[[0.0], [10.0], [20.0], [30.0]], [[0.0], [1.0], [2.0], [3.0]]]).double()
    x = torch.tensor([[0.0], [0.0], [10.0], [12.0]])
    codes = torch.tensor([[0, 0], [0, 0], [1, 0], [1, 2]])
    health = codebook_diagnostics(codes, quantizer, x)
    variance = x.var(correction=0).item()
    expected = pl.DataFrame(
        {
            "level": [1, 2],
            "use": [0.5, 0.5],
            "entropy": [math.log(2), entropy(torch.tensor([3, 0, 1, 0]))],
            "largest_code": [2, 3],
            "smallest_code": [0, 0],
            "largest_bucket": [2, 2],
            "collisions": [1.0, 0.5],
            "error": [1.0 / variance, 0.0],
        }
    )
    assert health.columns == expected.columns
    for name in expected.columns:
        assert health[name].to_list() == pytest.approx(expected[name].to_list())


def test_entropy_is_largest_where_use_is_even() -> None:
    assert entropy(torch.full((8,), 3)) == pytest.approx(math.log(8))
    assert entropy(torch.tensor([7, 0])) == 0


def test_what_new_items_do_to_the_codes_by_hand() -> None:
    codes = torch.tensor([[0, 0], [0, 1], [1, 0], [0, 1], [2, 0]])
    new = torch.tensor([False, False, False, True, True])
    assert new_item_diagnostics(codes, new).rows(named=True) == [
        {"level": 1, "largest_without": 2, "largest_with": 3, "collisions": 0.5},
        {"level": 2, "largest_without": 2, "largest_with": 3, "collisions": 0.5},
    ]
    every = new_item_diagnostics(codes, torch.ones(5, dtype=torch.bool))
    assert every["largest_without"].to_list() == [0, 0]


def test_items_that_share_all_codes_are_counted() -> None:
    assert sharing(torch.tensor([[0, 0], [0, 1], [0, 1], [1, 1], [0, 1]])) == 3
    assert sharing(torch.arange(4).unsqueeze(-1)) == 0
