from __future__ import annotations

import pytest
import torch
from scipy import stats
from torch import Tensor

from recsys.metrics.correlation import correlation
from recsys.metrics.intervals import Interval


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def everywhere(values: Tensor) -> Tensor:
    return torch.ones(values.shape, dtype=torch.bool)


def found(first: Tensor, second: Tensor, mask: Tensor | None = None) -> Interval:
    answer = correlation(first, second, everywhere(first) if mask is None else mask)
    assert answer is not None
    return answer


def ends(interval: Interval) -> tuple[float, float]:
    assert interval.low is not None and interval.high is not None
    return interval.low, interval.high


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_it_is_pearsons_over_all_seeds_steps_and_users_of_the_mask(offset: float) -> None:
    first, mask = drawn(2, 5, 30), drawn(2, 5, 30, seed=2) > 0
    second = first.double() + drawn(2, 5, 30, seed=1) + offset
    expected = stats.pearsonr(first[mask].double(), second[mask]).statistic
    garbage = torch.where(mask, first, torch.nan)
    assert found(garbage, second, mask).value == pytest.approx(expected, abs=1e-9)


def test_what_follows_exactly_has_1_or_minus_1_with_an_interval_of_no_width() -> None:
    first = drawn(3, 4, 20)
    for factor in (2.0, -0.5):
        one = found(first, factor * first + 7)
        sign = 1 if factor > 0 else -1
        assert [one.value, *ends(one)] == pytest.approx([sign] * 3, abs=1e-6)


def test_a_user_is_one_observation_however_many_steps_it_has() -> None:
    """With constants of each user, ten steps say no more than one: the interval stays as wide."""
    first, second = drawn(1, 1, 200), drawn(1, 1, 200, seed=1)
    once = found(first, second)
    ten = found(first.expand(1, 10, 200), second.expand(1, 10, 200))
    assert ends(ten) == pytest.approx(ends(once), abs=1e-9)
    low, high = ends(once)
    assert low < 0 < high and high - low == pytest.approx(2 * 1.96 / 200**0.5, rel=0.15)


def test_seeds_are_resampled_too() -> None:
    """Within each seed the correlation is 1 or −1: which seeds there are decides."""
    first = drawn(4, 1, 50)
    signs = torch.tensor([1.0, -1.0, 1.0, -1.0]).view(4, 1, 1)
    low, high = ends(found(first, first * signs))
    assert low < -0.8 and high > 0.8


@pytest.mark.parametrize("which", [0, 1])
def test_constant_values_have_no_correlation(which: int) -> None:
    values = [drawn(2, 3, 4), drawn(2, 3, 4, seed=1)]
    values[which] = torch.full((2, 3, 4), 0.1)
    assert correlation(values[0], values[1], everywhere(values[0])) is None


def test_where_nothing_counts_there_is_none_and_of_one_user_no_interval() -> None:
    first, second = drawn(1, 6, 1), drawn(1, 6, 1, seed=1)
    assert correlation(first, second, torch.zeros(first.shape, dtype=torch.bool)) is None
    alone = found(first, second)
    assert alone.low is None and alone.high is None and abs(alone.value) <= 1


def test_resamples_without_variation_are_left_out() -> None:
    """Of two users with one step each every resample of one user twice is constant; the others are the data."""
    first = torch.tensor([[[0.1, 0.7]]])
    two = found(first, 3 * first)
    assert [two.value, *ends(two)] == pytest.approx([1, 1, 1])
