from __future__ import annotations

import pytest
import torch
from transformers.models.t5.modeling_t5 import T5Attention

from recsys.nn.relative_bias import RelativeBias


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("buckets", "max_distance"), [(32, 128), (8, 20)])
def test_buckets_are_t5_s(causal: bool, buckets: int, max_distance: int) -> None:
    distance = torch.arange(-300, 301)
    theirs = T5Attention._relative_position_bucket(distance, not causal, buckets, max_distance)
    assert torch.equal(RelativeBias(1, buckets, max_distance, causal).bucket(distance), theirs)


def test_a_step_sees_the_last_row_of_the_whole() -> None:
    bias = RelativeBias(heads=3, causal=True)
    assert torch.equal(bias(1, 5), bias(5, 5)[:, :, 4:])


def test_causal_bias_forbids_the_future() -> None:
    bias = RelativeBias(heads=2, causal=True)(3, 3)
    assert torch.equal(bias[0, 0].isinf(), torch.ones(3, 3, dtype=torch.bool).triu(1))
    assert not RelativeBias(heads=2)(3, 3).isinf().any()


def test_each_distance_reads_its_own_number() -> None:
    bias = RelativeBias(heads=1, buckets=8, max_distance=20)
    with torch.no_grad():
        bias.weight.copy_(torch.arange(8.0).unsqueeze(1))
    assert bias(3, 3)[0, 0].tolist() == [[0, 5, 6], [1, 0, 5], [2, 1, 0]]
