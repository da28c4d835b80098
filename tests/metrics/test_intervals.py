from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recsys.metrics.intervals import Interval, bootstrap, bootstrap_of, paired_difference


def ends(interval: Interval) -> tuple[float, float]:
    assert interval.low is not None and interval.high is not None
    return interval.low, interval.high


def width(interval: Interval) -> float:
    low, high = ends(interval)
    return high - low


def column(values: Tensor) -> Tensor:
    return values.view(1, -1, 1)


def test_agrees_with_the_normal_interval_of_a_mean() -> None:
    values = (torch.rand(4000) < 0.1).double()
    low, high = ends(bootstrap(column(values), torch.arange(4000))[0])
    half = 1.96 * float(values.std()) / 4000**0.5
    assert (low, high) == pytest.approx((float(values.mean()) - half, float(values.mean()) + half), abs=0.1 * half)


def test_requests_of_one_user_are_one_observation() -> None:
    """Ten copies of each user's value say no more than one, though there are ten times the rows."""
    values = torch.rand(300)
    once = bootstrap(column(values), torch.arange(300))[0]
    copied = bootstrap(column(values.repeat_interleave(10)), torch.arange(300).repeat_interleave(10))[0]
    assert ends(copied) == pytest.approx(ends(once))
    independent = bootstrap(column(values.repeat_interleave(10)), torch.arange(3000))[0]
    assert width(independent) < 0.5 * width(copied)


def test_users_count_by_their_requests() -> None:
    values = torch.tensor([1.0, 1.0, 1.0, 0.0])
    interval = bootstrap(column(values), torch.tensor([5, 5, 5, 9]), samples=4000)[0]
    assert interval.value == 0.75
    assert ends(interval) == (0, 1)


def test_order_of_rows_and_names_of_users_do_not_matter() -> None:
    values, users = torch.rand(1, 60, 2), torch.randint(0, 20, (60,))
    shuffled = torch.randperm(60)
    ours = bootstrap(values, users)
    theirs = bootstrap(values[:, shuffled], users[shuffled] * 3 + 100)
    for one, other in zip(ours, theirs, strict=True):
        assert ends(one) == pytest.approx(ends(other))


def test_equal_seeds_equal_intervals() -> None:
    values, users = torch.rand(1, 50, 1), torch.arange(50)
    assert bootstrap(values, users, seed=0) == bootstrap(values, users, seed=0)
    assert bootstrap(values, users, seed=0) != bootstrap(values, users, seed=1)


def test_chunks_do_not_change_the_kind_of_result(monkeypatch: pytest.MonkeyPatch) -> None:
    values, users = torch.rand(1, 200, 1), torch.arange(200)
    whole = bootstrap(values, users, samples=4000)[0]
    monkeypatch.setattr("recsys.metrics.intervals.CHUNK_NUMBERS", 1000)
    assert ends(bootstrap(values, users, samples=4000)[0]) == pytest.approx(ends(whole), abs=0.1 * width(whole))


def test_confidence_widens() -> None:
    values, users = torch.rand(1, 100, 1), torch.arange(100)
    assert width(bootstrap(values, users, confidence=0.99)[0]) > width(bootstrap(values, users, confidence=0.8)[0])


def test_one_user_has_no_interval() -> None:
    assert bootstrap(torch.rand(1, 3, 1), torch.tensor([4, 4, 4]))[0].low is None


def test_seeds_given_are_averaged_and_seeds_resampled_widen() -> None:
    users = torch.arange(400)
    values = torch.rand(1, 400, 1) + torch.linspace(-1, 1, 8).view(8, 1, 1)
    given = bootstrap(values, users)[0]
    assert ends(given) == pytest.approx(ends(bootstrap(values.mean(0, keepdim=True), users)[0]))
    assert width(bootstrap(values, users, resample_seeds=True)[0]) > 5 * width(given)


def test_pairing_removes_what_users_vary_by() -> None:
    reference = torch.rand(1, 500, 1)
    better = reference + 0.01 + 0.01 * torch.rand(1, 500, 1)
    users = torch.arange(500)
    [difference] = paired_difference(better, reference, users)
    assert ends(difference)[0] > 0.01
    assert ends(bootstrap(better, users)[0])[0] < ends(bootstrap(reference, users)[0])[1]


def test_a_difference_of_rows_with_unlike_numbers_of_seeds() -> None:
    values = torch.rand(3, 40, 2)
    [first, second] = paired_difference(values, values.mean(0, keepdim=True), torch.arange(40))
    assert (first.value, *ends(second)) == pytest.approx((0, 0, 0), abs=1e-7)


def test_covers_the_truth_as_often_as_it_says(generator: torch.Generator) -> None:
    inside = 0
    for trial in range(200):
        effects = torch.rand(60, 1, generator=generator).expand(60, 3)
        values = (torch.rand(60, 3, generator=generator) + effects).flatten()
        users = torch.arange(60).repeat_interleave(3)
        low, high = ends(bootstrap(column(values), users, samples=300, seed=trial)[0])
        inside += low <= 1 <= high
    assert 0.89 <= inside / 200 <= 0.99


def test_a_function_of_means_is_resampled_whole() -> None:
    """Of a mean itself it is the interval of the mean; of a ratio of multiples it has no width."""
    values = torch.rand(2, 50, 2, generator=torch.Generator().manual_seed(0))
    users = torch.arange(50)
    [first, _] = bootstrap(values, users, resample_seeds=True)
    assert bootstrap_of(lambda means: means[:, 0], values, users, resample_seeds=True) == first
    values[..., 1] = 4 * values[..., 0]
    ratio = bootstrap_of(lambda means: means[:, 1] / means[:, 0], values, users)
    assert [ratio.value, *ends(ratio)] == pytest.approx([4, 4, 4])


def test_resamples_without_a_value_are_left_out_and_without_any_there_is_no_interval() -> None:
    values = torch.tensor([[[0.0], [1.0]]])
    users = torch.arange(2)
    some = bootstrap_of(lambda means: means[:, 0].where(means[:, 0] > 0.25, torch.nan), values, users)
    assert (some.value, *ends(some)) == (0.5, 0.5, 1.0)
    none = bootstrap_of(lambda means: means[:, 0].where(means[:, 0] > 2, torch.nan), values, users)
    assert none.low is None and none.high is None
    assert bootstrap_of(lambda means: means[:, 0], values[:, :1], users[:1]) == Interval(0.0)
