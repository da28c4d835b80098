from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recsys.errors import RequestError
from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.importance import IPS, SNIPS, RejectionSampling
from recsys.replay.actions.weights import Clip
from recsys.replay.sums import Sums, by_unit


def test_by_hand(four_rounds: BanditBatch) -> None:
    totals = IPS().terms(four_rounds).sum(0)
    assert totals.tolist() == pytest.approx([4, 7.5, 11.5])
    assert float(IPS().value(totals)) == pytest.approx(11.5 / 4)
    assert float(SNIPS().value(totals)) == pytest.approx(11.5 / 7.5)
    assert IPS(Clip(1.5)).weight(four_rounds).tolist() == pytest.approx([0.5, 1.5, 1, 1.5])


def test_both_read_the_same_sums_of_the_same_weights() -> None:
    assert IPS().terms == SNIPS().terms and hash(IPS().terms) == hash(SNIPS().terms)
    assert IPS(Clip(2.0)).terms == SNIPS(Clip(2.0)).terms != IPS(Clip(3.0)).terms


def test_sums_by_user_keep_the_value_and_count_users(four_rounds: BanditBatch) -> None:
    terms = IPS().terms(four_rounds)
    assert four_rounds.user is not None
    sums = Sums.of(by_unit(terms, four_rounds.user))
    assert sums.units == 3
    torch.testing.assert_close(sums.totals, terms.sum(0))
    assert float(IPS().value(sums.totals)) == pytest.approx(11.5 / 4)


def test_constant_rewards_are_exact_when_self_normalised_only(four_rounds: BanditBatch) -> None:
    totals = SNIPS().terms(replace(four_rounds, reward=torch.full((4,), 0.7, dtype=torch.float64))).sum(0)
    assert float(SNIPS().value(totals)) == pytest.approx(0.7)
    assert float(IPS().value(totals)) == pytest.approx(0.7 * 7.5 / 4)


def test_the_self_normalised_bias_of_two_rounds_is_of_this_size() -> None:
    """One context, p = (½, ½), π = (¾, ¼), rewards (1, 0): all four logs of two rounds."""
    both = BanditBatch(
        torch.tensor([0, 1]),
        *torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.75, 0.25]], dtype=torch.float64),
    )
    terms = SNIPS().terms(both)
    mean = SNIPS().value(terms.unsqueeze(0) + terms.unsqueeze(1)).mean()
    assert float(mean) == pytest.approx((1 + 0.75 + 0.75 + 0) / 4)  # 5/8, and the truth is 6/8


def exact(numbers: list[float]) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def test_given_a_match_the_value_of_a_fixed_policy_is_unbiased() -> None:
    """Two actions logged evenly, action 1 judged, rewards 0 or 1 with means .2 and .7: all logs of two rounds."""
    units = BanditBatch(torch.tensor([0, 0, 1, 1]), exact([0, 1, 0, 1]), exact([0.5] * 4), exact([0, 0, 1, 1]))
    probability = exact([0.4, 0.1, 0.15, 0.35])
    terms = RejectionSampling().terms(units)
    values = RejectionSampling().value(terms.unsqueeze(0) + terms.unsqueeze(1))
    matched = values.isfinite()
    chance = (probability.unsqueeze(0) * probability.unsqueeze(1))[matched]
    assert float(chance.sum()) == pytest.approx(0.75)
    assert float(chance @ values[matched] / chance.sum()) == pytest.approx(0.7)


def test_a_policy_that_draws_is_matched_by_its_probability(four_rounds: BanditBatch) -> None:
    even = replace(four_rounds, logging=exact([0.5] * 4), logging_all=None)
    totals = RejectionSampling().terms(even).sum(0)
    assert totals.tolist() == pytest.approx([0.4 + 0.5 + 0.6 + 0.8, 0.4 + 1.8 + 1.6])
    assert float(RejectionSampling().value(totals)) == pytest.approx(float(SNIPS().value(SNIPS().terms(even).sum(0))))


def test_other_propensities_are_refused(four_rounds: BanditBatch) -> None:
    with pytest.raises(RequestError, match=r"from 0.2 to 0.8.*SNIPS"):
        RejectionSampling().terms(four_rounds)


def test_even_propensities_of_some_actions_only_are_refused(four_rounds: BanditBatch) -> None:
    with pytest.raises(RequestError, match=r"2 actions have propensities of 0.25"):
        RejectionSampling().terms(replace(four_rounds, logging=exact([0.25] * 4)))


def test_no_rounds_are_no_terms(four_rounds: BanditBatch) -> None:
    nothing = BanditBatch(four_rounds.action[:0], *(exact([]),) * 3)
    assert RejectionSampling().terms(nothing).shape == (0, 2)
