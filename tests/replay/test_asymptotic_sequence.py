import pytest
import torch

from recsys.replay.asymptotic_sequence import asymptotic_sequence, boundary
from recsys.replay.closed_form import closed_form, linearised
from recsys.replay.importance import IPS, SNIPS
from recsys.replay.sums import Sums

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
