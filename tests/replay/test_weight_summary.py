from __future__ import annotations

import pytest
import torch

from recsys.replay import weight_summary
from recsys.replay.weight_summary import WeightSummary


def weights(n: int = 10_000) -> torch.Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64).mul(2).exp()


def test_sums_of_weights():
    weight = torch.cat([weights(), torch.zeros(7)])
    summary = WeightSummary.of(weight)
    assert summary.rows == 10_007
    assert summary.largest == float(weight.max())
    assert summary.total == pytest.approx(float(weight.sum()), rel=1e-12)
    assert summary.effective == pytest.approx(float(weight.sum() ** 2 / weight.square().sum()), rel=1e-12)


def test_each_size_is_counted_where_its_edges_say():
    weight = torch.cat([weights(), torch.zeros(7)])
    summary = WeightSummary.of(weight)
    row = torch.bucketize(weight, summary.edges, right=True) - 1
    for place, values in enumerate((torch.ones_like(weight), weight, weight.square())):
        expected = torch.zeros(129, dtype=torch.float64).index_add_(0, row, values)
        torch.testing.assert_close(summary.sizes[:, place], expected, rtol=1e-12, atol=0)
    assert summary.sizes[0, 0] == 7


def test_sizes_beyond_the_ends_are_in_the_first_and_the_last():
    summary = WeightSummary.of(torch.tensor([1e-300, 1e-20, 1e300, 2.0**63], dtype=torch.float64))
    assert summary.sizes[[1, 128], 0].tolist() == [2, 2]


def test_weights_below_0_count_by_their_size():
    summary = WeightSummary.of(torch.tensor([-3.0, 2.0, 3.0], dtype=torch.float64))
    assert (summary.largest, summary.total, summary.effective) == (3, 2, pytest.approx(4 / 22))
    assert summary.sizes[66].tolist() == [3, 2, 22]


def test_parts_and_threads_add_to_the_whole(monkeypatch):
    weight = weights()
    whole = WeightSummary.of(weight)
    parts = WeightSummary.of(weight[:3000]) + WeightSummary.of(weight[3000:])
    monkeypatch.setattr(weight_summary, "ROWS", 1000)
    for other in (parts, WeightSummary.of(weight)):
        assert other.largest == whole.largest
        torch.testing.assert_close(other.sizes, whole.sizes, rtol=1e-12, atol=0)


def test_no_weights_and_weights_of_nothing():
    assert (WeightSummary.of(torch.zeros(0)).rows, WeightSummary.of(torch.zeros(0)).effective) == (0, 0)
    assert WeightSummary.of(torch.zeros(5)).effective == 0
