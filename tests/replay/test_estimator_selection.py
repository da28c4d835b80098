from __future__ import annotations

import pytest
import torch

from recsys.errors import RequestError
from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.importance import IPS
from recsys.replay.actions.weights import Clip
from recsys.replay.estimator_selection import Slope, last_in_common
from recsys.replay.intervals.fixed_sample import closed_form
from recsys.replay.sums import Sums

LIMITS = (50.0, 20.0, 10.0, 5.0, 2.0, 1.0)


def log(rows: int, likes: float, generator: torch.Generator) -> BanditBatch:
    """Two actions, the second logged once in 50 rounds and always taken; it earns `likes` on average."""
    action = (torch.rand(rows, generator=generator) < 0.02).long()
    reward = (torch.rand(rows, generator=generator) < torch.tensor([0.5, likes])[action]).double()
    propensity = torch.tensor([0.98, 0.02], dtype=torch.float64)[action]
    return BanditBatch(action, reward, propensity, action.double())


def chosen(rounds: BanditBatch, estimators: list[IPS]) -> IPS:
    choice = Slope(estimators).choose([Sums.of(one.terms(rounds)) for one in estimators])
    assert isinstance(choice, IPS)
    return choice


def test_more_rounds_allow_less_bias(generator: torch.Generator) -> None:
    """What clipping takes away is `likes` times a share; with few rounds the interval hides it, with many it shows."""
    family = [IPS(Clip(limit)) for limit in LIMITS]
    few, many = (chosen(log(rows, 0.5, generator), family) for rows in (100, 200_000))
    assert isinstance(few.weights, Clip) and isinstance(many.weights, Clip)
    assert few.weights.limit < many.weights.limit == 50


def test_no_bias_means_the_least_variance(generator: torch.Generator) -> None:
    """An action that earns nothing is not missed."""
    family = [IPS(Clip(limit)) for limit in LIMITS]
    weights = chosen(log(20_000, 0.001, generator), family).weights
    assert isinstance(weights, Clip) and weights.limit <= 2


def test_its_error_is_within_three_times_the_best_sum_of_bias_and_half_width(generator: torch.Generator) -> None:
    """In each of 30 logs of 20,000 rounds, though it knows no bias; the one that clips most is always further off."""
    family = [IPS(Clip(limit)) for limit in LIMITS]
    bias = 0.3 * (1 - torch.tensor(LIMITS, dtype=torch.float64) / 50)
    for _ in range(30):
        rounds = log(20_000, 0.3, generator)
        sums = [Sums.of(one.terms(rounds)) for one in family]
        found = [closed_form(one, its) for one, its in zip(family, sums, strict=True)]
        half = torch.tensor([one.high - one.value for one in found if one.high is not None], dtype=torch.float64)
        best = float((bias + half).min())
        choice = Slope(family).choose(sums)
        assert abs(found[family.index(choice)].value - 0.3) < 3 * best  # type: ignore[arg-type]
        assert abs(found[-1].value - 0.3) > 3 * best


def test_sums_of_shards_choose_as_the_whole(generator: torch.Generator) -> None:
    rounds = log(3000, 0.4, generator)
    family = [IPS(Clip(limit)) for limit in LIMITS]
    terms = [one.terms(rounds) for one in family]
    merged = [Sums.of(one[:1100]) + Sums.of(one[1100:]) for one in terms]
    assert Slope(family).choose(merged) == Slope(family).choose([Sums.of(one) for one in terms])


def test_a_later_wider_interval_widens_those_before() -> None:
    assert last_in_common([(0.0, 0.1), (1.0, 0.1)]) == 0
    assert last_in_common([(0.0, 0.1), (1.0, 0.1), (0.5, 0.3)]) == 2


def test_a_gap_is_the_end_even_if_later_ones_agree() -> None:
    assert last_in_common([(0.0, 1.0), (5.0, 0.5), (0.0, 0.1)]) == 0


def test_what_cannot_be_chosen_from_is_refused() -> None:
    with pytest.raises(RequestError, match="no estimator"):
        Slope(())
    with pytest.raises(RequestError, match="2 estimators need as many sums, not 1"):
        Slope((IPS(), IPS(Clip(1.0)))).choose([Sums.of(torch.ones(3, 3))])
    with pytest.raises(RequestError, match="two units"):
        Slope((IPS(),)).choose([Sums.of(torch.ones(1, 3))])
