from __future__ import annotations

import pytest
import torch

from recsys.metrics.intervals import Interval
from recsys.replay.diagnostics import overlap as weight_summary
from recsys.replay.diagnostics.overlap import OverlapLimits, WeightSummary, overlap_warning


def summary(*weights: float, times: int = 500) -> WeightSummary:
    return WeightSummary.of(torch.tensor(weights).repeat(times))


def test_even_weights_are_an_answer() -> None:
    assert overlap_warning(summary(0.5, 1.5), OverlapLimits()) == ""


def test_few_rounds_are_none_whatever_their_weights_average() -> None:
    few = summary(1.0, times=50)
    assert overlap_warning(few, OverlapLimits()) == "effective sample size 50, at least 100 is asked"
    assert overlap_warning(few, OverlapLimits(effective_sample_size=50)) == ""


def test_one_heavy_round_makes_many_worth_few() -> None:
    heavy = WeightSummary.of(torch.cat([torch.ones(1000), torch.tensor([1000.0])]))
    assert "effective sample size 4" in overlap_warning(heavy, OverlapLimits())  # 2000² / (1000 + 1000²)


@pytest.mark.parametrize(("level", "words"), [(0.6, "choices that the log does not show"), (1.4, "are too small")])
def test_weights_that_do_not_average_one_are_none(level: float, words: str) -> None:
    found = overlap_warning(summary(level - 0.1, level + 0.1), OverlapLimits())
    assert words in found and f"weights average {level:.3f} [{level - 0.006:.3f}" in found
    assert overlap_warning(summary(level - 0.1, level + 0.1), OverlapLimits(), averages_to_one=False) == ""
    assert overlap_warning(summary(level - 0.1, level + 0.1), OverlapLimits(missing=0.5)) == ""


def test_an_average_off_by_chance_is_an_answer() -> None:
    noisy = summary(0.0, 1.7, times=60)
    assert overlap_warning(noisy, OverlapLimits(effective_sample_size=10)) == ""
    assert overlap_warning(noisy, OverlapLimits(effective_sample_size=10, confidence=0.1)) != ""


def test_no_weight_at_all_is_none() -> None:
    assert overlap_warning(summary(0.0), OverlapLimits()) == "effective sample size 0, at least 100 is asked"
    found = overlap_warning(summary(0.0), OverlapLimits(effective_sample_size=0))
    assert found.startswith("weights average 0.000 [0.000, 0.000]") and found.endswith("the log does not show")


def test_weights_of_users_may_be_off_by_more() -> None:
    off = summary(0.7, 0.9)
    assert overlap_warning(off, OverlapLimits()) != ""
    assert overlap_warning(off, OverlapLimits(), mean=Interval(0.8, 0.6, 1.0)) == ""
    assert overlap_warning(off, OverlapLimits(), mean=Interval(0.8)) == ""


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


def test_the_effective_sample_size_of_huge_weights_is_a_number() -> None:
    assert WeightSummary.of(torch.tensor([1e300, 1.0], dtype=torch.float64)).effective >= 0
