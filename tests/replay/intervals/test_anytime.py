from __future__ import annotations

from math import log

import pytest
import torch
from torch import Tensor

from recsys.errors import RequestError
from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.importance import IPS, SNIPS
from recsys.replay.actions.weights import Clip
from recsys.replay.intervals.anytime import (
    RATES,
    asymptotic_sequence,
    boundary,
    confidence_sequence,
    evidence,
    lower_bound,
)
from recsys.replay.intervals.fixed_sample import closed_form, linearised
from recsys.replay.sums import SampleMean, Sums

START = 100


def test_covers_at_all_times_and_the_closed_form_does_not() -> None:
    chance, odds = torch.tensor([0.5, 0.5]).double(), torch.tensor([1.6, 0.4]).double()
    action = torch.multinomial(chance, 500 * 2000, replacement=True).view(500, 2000)
    weight, reward = odds[action], (torch.rand(500, 2000) < torch.tensor([0.3, 0.6])[action]).double()
    truth = 0.5 * (1.6 * 0.3 + 0.4 * 0.6)
    units = torch.arange(1.0, 2001.0).double()
    mean = (weight * reward).cumsum(1) / units
    error = (((weight * reward).square().cumsum(1) / units - mean.square()) / (units - 1)).sqrt()
    missed = [
        float((((mean - truth).abs() > wide * error)[:, START:]).any(1).double().mean())
        for wide in (torch.tensor([boundary(m, 500, 0.05) for m in units.tolist()]).double(), 1.96)
    ]
    assert missed[0] <= 0.05
    assert missed[1] > 0.25
    terms = torch.stack([torch.ones_like(weight[0]), weight[0], weight[0] * reward[0]], -1)
    found = asymptotic_sequence(IPS(), Sums.of(terms[:700]), tightest=500)
    half = boundary(700, 500, 0.05) * float(error[0, 699])
    assert (found.low, found.high) == pytest.approx((float(mean[0, 699]) - half, float(mean[0, 699]) + half))


def test_tightest_where_asked() -> None:
    at = [boundary(1000, tightest, 0.05) for tightest in (10, 1000, 100_000)]
    assert at[1] == min(at)
    assert boundary(1000, 1000, 0.01) > at[1]


def test_of_a_ratio_as_of_a_mean() -> None:
    terms = torch.rand(200, 3).double()
    sums = Sums.of(terms)
    wide, narrow = asymptotic_sequence(SNIPS(), sums, tightest=200), closed_form(SNIPS(), sums)
    value, variance = linearised(SNIPS(), sums)
    assert wide.value == narrow.value == value
    assert wide.low < narrow.low
    assert wide.high - value == pytest.approx(variance**0.5 * boundary(200, 200, 0.05))
    assert asymptotic_sequence(SNIPS(), Sums.of(terms[:1]), tightest=10).low is None


LOGGING = torch.tensor([0.9, 0.08, 0.02]).double()
TARGET = torch.tensor([0.2, 0.2, 0.6]).double()
REWARD = torch.tensor([0.1, 0.5, 0.3]).double()
TRUTH = float(TARGET @ REWARD)


def logs(count: int, rounds: int) -> tuple[Tensor, Tensor]:
    """Weights, up to 30, and rewards, `[count, rounds]`."""
    action = torch.multinomial(LOGGING, count * rounds, replacement=True).view(count, rounds)
    return (TARGET / LOGGING)[action], (torch.rand(count, rounds) < REWARD[action]).double()


def running(numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Number, sum and sum of squares after every round."""
    return torch.arange(1.0, 1 + numbers.shape[1]).double(), numbers.cumsum(1), numbers.square().cumsum(1)


def against(numbers: Tensor, candidate: float, scale: float = 1.0) -> Tensor:
    units, total, square = running(numbers)
    return evidence(units.expand_as(total), total, square, torch.full_like(total, candidate), scale)


def sums_of(weight: Tensor, reward: Tensor) -> Sums:
    return Sums.of(torch.stack([torch.ones_like(weight), weight, weight * reward], -1))


def test_covers_at_all_times_at_once_and_the_closed_form_does_not() -> None:
    weight, reward = logs(500, 2000)
    limit = log(1 / 0.025)
    low_missed = (against(weight * reward, TRUTH) >= limit).any(1)
    high_missed = (against(weight * (1 - reward), 1 - TRUTH) >= limit).any(1)
    assert float((low_missed | high_missed).double().mean()) <= 0.05
    units, total, square = running(weight * reward)
    error = ((square / units - (total / units).square()) / units).sqrt()
    outside = (total / units - TRUTH).abs() > 1.96 * error
    assert float(outside[:, 200:].any(1).double().mean()) > 0.2


def test_what_is_refuted_ends_at_the_bound() -> None:
    [weight], [reward] = logs(1, 2000)
    mean = SampleMean.of(sums_of(weight, reward), (0, 0, 1))
    bound = lower_bound(mean, 1.0, 0.025)
    assert 0 < bound < TRUTH
    units, total, square = torch.tensor([mean.units, mean.total, mean.square], dtype=torch.float64)
    below, above = (
        float(evidence(units, total, square, torch.full_like(units, bound + by), 1.0)) for by in (-1e-9, 1e-9)
    )
    assert below > log(1 / 0.025) > above


def test_misses_often_where_much_is_allowed_and_never_more() -> None:
    fair = (torch.rand(1000, 400) < 0.5).double()
    missed = float((against(fair, 0.5) >= log(1 / 0.8)).any(1).double().mean())
    assert 0.05 < missed <= 0.8


@pytest.mark.parametrize(
    ("chance", "number"),
    [([0.5, 0.5], [0.0, 1.0]), ([0.99, 0.01], [0.0, 100.0]), ([0.2, 0.5, 0.3], [0.1, 0.4, 3.0]), ([1.0], [0.7])],
)
@pytest.mark.parametrize("scale", [0.1, 1.0, 20.0])
def test_its_exponential_never_grows_on_average(chance: list[float], number: list[float], scale: float) -> None:
    chances, numbers = torch.tensor(chance).double(), torch.tensor(number).double()
    mean = chances @ numbers
    once = evidence(torch.ones_like(numbers), numbers, numbers.square(), mean.expand_as(numbers), scale).exp()
    assert 0 < float(chances @ once) <= 1
    total = numbers.unsqueeze(0) + numbers.unsqueeze(1)
    square = numbers.square().unsqueeze(0) + numbers.square().unsqueeze(1)
    twice = evidence(torch.full_like(total, 2.0), total, square, mean.expand_as(total), scale).exp()
    assert bool((twice @ chances <= once + 1e-12).all())
    assert float(chances @ twice @ chances) <= float(chances @ once)


def test_of_rates_that_are_too_low_to_tell_it_is_silent() -> None:
    assert max(RATES) < 1
    nothing = torch.tensor(0.0).double()
    assert float(evidence(nothing, nothing, nothing, nothing, 1.0)) == pytest.approx(0)


def test_sums_of_shards_give_the_bound_of_the_whole() -> None:
    [weight], [reward] = logs(1, 900)
    order = torch.randperm(900)
    whole = confidence_sequence(sums_of(weight, reward))
    parts = [sums_of(weight[part], reward[part]) for part in (order[:100], order[100:])]
    merged = confidence_sequence(parts[0] + parts[1])
    assert (merged.low, merged.high) == pytest.approx((whole.low, whole.high))
    assert whole.low < whole.value < whole.high


def test_costs_about_twice_the_closed_form_at_any_size() -> None:
    [weight], [reward] = logs(1, 100_000)
    for rounds in (1_000, 10_000, 100_000):
        sums = sums_of(weight[:rounds], reward[:rounds])
        wide, narrow = confidence_sequence(sums), closed_form(IPS(), sums)
        assert 1.3 < (wide.value - wide.low) / (narrow.value - narrow.low) < 2.5


def test_holds_for_clipped_weights_and_for_actions_that_the_log_never_takes() -> None:
    weight, reward = logs(300, 400)
    rounds = BanditBatch(torch.zeros(400).long(), reward[0], torch.ones(400).double(), weight[0])
    torch.testing.assert_close(Clip(5.0)(rounds), weight[0].clamp(max=5))
    for less in (weight.clamp(max=5), weight * (weight < 10)):
        assert float(less.mean()) < 0.9
        assert bool((against(less * reward, TRUTH) < log(1 / 0.025)).all(1).double().mean() >= 0.97)
        assert bool((against(less * (1 - reward), 1 - TRUTH) < log(1 / 0.025)).all(1).double().mean() >= 0.97)


def test_rewards_of_another_range_shift_and_stretch_the_interval() -> None:
    [weight], [reward] = logs(1, 900)
    plain = confidence_sequence(sums_of(weight, reward))
    other = confidence_sequence(sums_of(weight, 4 * reward - 1), rewards=(-1.0, 3.0))
    assert (other.low, other.high) == pytest.approx((4 * plain.low - 1, 4 * plain.high - 1))


def test_a_log_that_says_nothing_leaves_the_range_of_rewards() -> None:
    one = torch.ones(1).double()
    found = confidence_sequence(sums_of(one, one))
    assert (found.low, found.high) == (0, 1)
    with pytest.raises(RequestError, match="at least one round"):
        confidence_sequence(sums_of(one[:0], one[:0]))
