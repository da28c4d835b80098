from __future__ import annotations

import pytest
import torch
from scipy.stats import t as student

from recsys.errors import RequestError
from recsys.metrics.intervals import Interval, bootstrap
from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.doubly_robust import DR
from recsys.replay.actions.importance import IPS, SNIPS
from recsys.replay.intervals.fixed_sample import closed_form, empirical_bernstein
from recsys.replay.sums import SampleMean, Sums, by_unit


def log(rows: int, generator: torch.Generator) -> BanditBatch:
    draw = torch.rand(3, rows, generator=generator, dtype=torch.float64)
    return BanditBatch(torch.zeros(rows, dtype=torch.long), (draw[0] < 0.9).double(), 0.2 + 0.6 * draw[1], draw[2])


def half(interval: Interval) -> float:
    assert interval.low is not None and interval.high is not None
    assert interval.high - interval.value == pytest.approx(interval.value - interval.low)
    return interval.high - interval.value


def test_of_a_mean_it_is_the_t_interval(generator: torch.Generator) -> None:
    rounds = log(40, generator)
    earned = rounds.weight * rounds.reward
    expected = student.ppf(0.975, 39) * float(earned.std()) / 40**0.5
    assert half(closed_form(IPS(), Sums.of(IPS().terms(rounds)))) == pytest.approx(expected)


def test_of_a_ratio_it_is_the_linearised_one(generator: torch.Generator) -> None:
    rounds = log(40, generator)
    ratio = (rounds.weight * rounds.reward).sum() / rounds.weight.sum()
    residual = rounds.weight * (rounds.reward - ratio) / rounds.weight.mean()
    expected = student.ppf(0.95, 39) * float(residual.std()) / 40**0.5
    found = closed_form(SNIPS(), Sums.of(SNIPS().terms(rounds)), confidence=0.9)
    assert found.value == pytest.approx(float(ratio))
    assert half(found) == pytest.approx(expected)


def test_agrees_with_a_bootstrap_of_the_ratio(generator: torch.Generator) -> None:
    rounds = log(2000, generator)
    terms = SNIPS().terms(rounds)
    drawn = torch.randint(2000, (2000, 2000), generator=generator)
    counts = torch.stack([one.bincount(minlength=2000) for one in drawn]).double()
    low, high = SNIPS().value(counts @ terms).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    assert half(closed_form(SNIPS(), Sums.of(terms))) == pytest.approx((high - low) / 2, rel=0.05)


def test_a_user_is_one_observation(generator: torch.Generator) -> None:
    """Ten copies of each round say no more than one."""
    terms = SNIPS().terms(log(100, generator))
    copied = terms.repeat_interleave(10, 0)
    once = closed_form(SNIPS(), Sums.of(terms))
    by_user = closed_form(SNIPS(), Sums.of(by_unit(copied, torch.arange(100).repeat_interleave(10))))
    assert by_user.to_dict() == pytest.approx(once.to_dict())
    assert half(closed_form(SNIPS(), Sums.of(copied))) < 0.35 * half(once)


def test_users_of_unequal_size_agree_with_a_bootstrap_of_users(generator: torch.Generator) -> None:
    rounds = log(3000, generator)
    user = (torch.rand(3000, generator=generator).square() * 300).long()
    terms = IPS().terms(rounds)
    values = (rounds.weight * rounds.reward + user.double().div(7).sin()).view(1, -1, 1)
    [expected] = bootstrap(values, user)
    assert expected.low is not None and expected.high is not None
    terms[:, 2] = values.flatten()
    found = closed_form(IPS(), Sums.of(by_unit(terms, user)))
    assert half(found) == pytest.approx((expected.high - expected.low) / 2, rel=0.1)


def test_one_unit_has_a_value_and_no_interval(four_rounds: BanditBatch) -> None:
    terms = DR().terms(four_rounds)
    found = closed_form(DR(), Sums.of(terms.sum(0, keepdim=True)))
    assert found.value == pytest.approx(6.9 / 4) and found.low is None and found.high is None


def test_constant_rewards_have_no_width_when_self_normalised() -> None:
    weight = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)
    found = closed_form(SNIPS(), Sums.of(torch.stack([torch.ones(3).double(), weight, 0.9 * weight], 1)))
    assert found.low == pytest.approx(0.9) and found.high == pytest.approx(0.9)


def means(numbers: torch.Tensor) -> list[SampleMean]:
    return [SampleMean(len(row), float(row.sum()), float(row.square().sum())) for row in numbers]


def rare(logs: int, rounds: int) -> torch.Tensor:
    """A weight of 20 with a chance of 1 in 50: the mean is 0.4."""
    return (torch.rand(logs, rounds) < 0.02).double() * 20


def test_covers_where_the_closed_form_does_not() -> None:
    covered, normal = 0, 0
    for mean in means(rare(1000, 60)):
        found = empirical_bernstein(mean, 0, 20)
        covered += found.low <= 0.4 <= found.high
        normal += abs(mean.value - 0.4) <= 2 * (mean.variance / mean.units) ** 0.5
    assert covered >= 950
    assert normal < 800


def test_low_end_is_above_the_mean_as_rarely_as_promised() -> None:
    """One end alone fails half as often as both: at a confidence of .6 in a fifth of the logs at most."""
    found = [empirical_bernstein(mean, 0, 1, confidence=0.6) for mean in means(torch.rand(1000, 40))]
    assert sum(one.low <= 0.5 for one in found) >= 800


def test_narrows_with_rounds_and_with_the_variance() -> None:
    widths = []
    for rounds, spread in ((100, 1.0), (10_000, 1.0), (10_000, 0.1)):
        [mean] = means(0.5 + spread * (torch.rand(1, rounds).double() - 0.5))
        found = empirical_bernstein(mean, 0, 1)
        widths.append(found.high - found.low)
    assert widths[0] > 8 * widths[1]
    assert widths[1] > 3 * widths[2]


def test_less_confidence_is_closer_and_both_ends_are_cut_to_the_bounds() -> None:
    [mean] = means(torch.rand(1, 1000).double())
    assert empirical_bernstein(mean, 0, 1).low < empirical_bernstein(mean, 0, 1, confidence=0.9).low < mean.value
    few = empirical_bernstein(SampleMean(3, 1.5, 1.0), 0, 1)
    assert (few.low, few.high) == (0, 1)
    assert empirical_bernstein(SampleMean(1, 0.5, 0.25), 0, 1).low is None


@pytest.mark.parametrize("mean", [SampleMean(10, 11.0, 12.0), SampleMean(10, -1.0, 1.0), SampleMean(10, 5.0, 40.0)])
def test_numbers_out_of_bounds_are_refused(mean: SampleMean) -> None:
    with pytest.raises(RequestError, match="is not of numbers from 0 to 1"):
        empirical_bernstein(mean, 0, 1)
