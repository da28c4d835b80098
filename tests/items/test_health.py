from __future__ import annotations

import math

import polars as pl
import pytest
import torch

from recsys.items.health import code_health, entropy
from recsys.items.residual import ResidualQuantizer
from recsys.items.residual_kmeans import FaissClusterer


def test_every_column_by_hand() -> None:
    quantizer = ResidualQuantizer(FaissClusterer(), levels=2, codes=4)
    quantizer.codebooks = torch.tensor([[[0.0], [10.0], [20.0], [30.0]], [[0.0], [1.0], [2.0], [3.0]]]).double()
    x = torch.tensor([[0.0], [0.0], [10.0], [12.0]])
    codes = torch.tensor([[0, 0], [0, 0], [1, 0], [1, 2]])
    health = code_health(codes, quantizer, x)
    variance = x.var(correction=0).item()
    expected = pl.DataFrame(
        {
            "level": [1, 2],
            "use": [0.5, 0.5],
            "entropy": [math.log(2), entropy(torch.tensor([3, 0, 1, 0]))],
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
