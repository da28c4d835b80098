from __future__ import annotations

import pytest
import torch
from transformers.models.t5.modeling_t5 import T5Attention

from recsys.nn.positions import RelativePositionBias, RotaryEmbedding


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("buckets", "max_distance"), [(32, 128), (8, 20)])
def test_buckets_are_t5_s(causal: bool, buckets: int, max_distance: int) -> None:
    distance = torch.arange(-300, 301)
    theirs = T5Attention._relative_position_bucket(distance, not causal, buckets, max_distance)
    assert torch.equal(RelativePositionBias(1, buckets, max_distance, causal).bucket(distance), theirs)


def test_a_step_sees_the_last_row_of_the_whole() -> None:
    bias = RelativePositionBias(heads=3, causal=True)
    assert torch.equal(bias(1, 5), bias(5, 5)[:, :, 4:])


def test_causal_bias_forbids_the_future() -> None:
    bias = RelativePositionBias(heads=2, causal=True)(3, 3)
    assert torch.equal(bias[0, 0].isinf(), torch.ones(3, 3, dtype=torch.bool).triu(1))
    assert not RelativePositionBias(heads=2)(3, 3).isinf().any()


def test_each_distance_reads_its_own_number() -> None:
    bias = RelativePositionBias(heads=1, buckets=8, max_distance=20)
    with torch.no_grad():
        bias.weight.copy_(torch.arange(8.0).unsqueeze(1))
    assert bias(3, 3)[0, 0].tolist() == [[0, 5, 6], [1, 0, 5], [2, 1, 0]]


def test_inner_products_depend_on_the_distance_only() -> None:
    rotary = RotaryEmbedding(width=8)
    query, key = torch.randn(8), torch.randn(8)
    rows = torch.stack([query] * 10), torch.stack([key] * 10)
    products = rotary(rows[0]) @ rotary(rows[1]).T
    for distance in range(-9, 10):
        diagonal = products.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-5, rtol=1e-5)


def test_lengths_stay() -> None:
    x = torch.randn(2, 3, 5, 6)
    torch.testing.assert_close(RotaryEmbedding(6)(x).norm(dim=-1), x.norm(dim=-1))


def test_rows_count_from_the_start_given() -> None:
    rotary, x = RotaryEmbedding(4), torch.randn(6, 4)
    torch.testing.assert_close(rotary(x)[2:], rotary(x[2:], start=2))


def test_odd_widths() -> None:
    with pytest.raises(ValueError, match="even"):
        RotaryEmbedding(5)
