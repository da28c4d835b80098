from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recsys.replay.importance import IPS, SNIPS
from recsys.replay.rounds import Rounds
from recsys.replay.sums import Sums, by_unit
from recsys.replay.weights import Clip


def test_by_hand(four_rounds: Rounds) -> None:
    totals = IPS().terms(four_rounds).sum(0)
    assert totals.tolist() == pytest.approx([4, 7.5, 11.5])
    assert float(IPS().value(totals)) == pytest.approx(11.5 / 4)
    assert float(SNIPS().value(totals)) == pytest.approx(11.5 / 7.5)
    assert IPS(Clip(1.5)).weight(four_rounds).tolist() == pytest.approx([0.5, 1.5, 1, 1.5])


def test_both_read_the_same_sums_of_the_same_weights() -> None:
    assert IPS().terms == SNIPS().terms and hash(IPS().terms) == hash(SNIPS().terms)
    assert IPS(Clip(2.0)).terms == SNIPS(Clip(2.0)).terms != IPS(Clip(3.0)).terms


def test_sums_by_user_keep_the_value_and_count_users(four_rounds: Rounds) -> None:
    terms = IPS().terms(four_rounds)
    assert four_rounds.user is not None
    sums = Sums.of(by_unit(terms, four_rounds.user))
    assert sums.units == 3
    torch.testing.assert_close(sums.totals, terms.sum(0))
    assert float(IPS().value(sums.totals)) == pytest.approx(11.5 / 4)


def test_constant_rewards_are_exact_when_self_normalised_only(four_rounds: Rounds) -> None:
    totals = SNIPS().terms(replace(four_rounds, reward=torch.full((4,), 0.7, dtype=torch.float64))).sum(0)
    assert float(SNIPS().value(totals)) == pytest.approx(0.7)
    assert float(IPS().value(totals)) == pytest.approx(0.7 * 7.5 / 4)


def test_the_self_normalised_bias_of_two_rounds_is_of_this_size() -> None:
    """One context, p = (½, ½), π = (¾, ¼), rewards (1, 0): all four logs of two rounds."""
    both = Rounds(
        torch.tensor([0, 1]),
        *torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.75, 0.25]], dtype=torch.float64),
    )
    terms = SNIPS().terms(both)
    mean = SNIPS().value(terms.unsqueeze(0) + terms.unsqueeze(1)).mean()
    assert float(mean) == pytest.approx((1 + 0.75 + 0.75 + 0) / 4)  # 5/8, and the truth is 6/8
