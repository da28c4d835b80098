from __future__ import annotations

import pytest
import torch

from recsys.nn.rotary import Rotary


def test_inner_products_depend_on_the_distance_only() -> None:
    rotary = Rotary(width=8)
    query, key = torch.randn(8), torch.randn(8)
    rows = torch.stack([query] * 10), torch.stack([key] * 10)
    products = rotary(rows[0]) @ rotary(rows[1]).T
    for distance in range(-9, 10):
        diagonal = products.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-5, rtol=1e-5)


def test_lengths_stay() -> None:
    x = torch.randn(2, 3, 5, 6)
    torch.testing.assert_close(Rotary(6)(x).norm(dim=-1), x.norm(dim=-1))


def test_rows_count_from_the_start_given() -> None:
    rotary, x = Rotary(4), torch.randn(6, 4)
    torch.testing.assert_close(rotary(x)[2:], rotary(x[2:], start=2))


def test_odd_widths() -> None:
    with pytest.raises(ValueError, match="even"):
        Rotary(5)
