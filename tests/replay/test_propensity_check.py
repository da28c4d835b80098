from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recsys.replay.closed_form import closed_form
from recsys.replay.propensity_check import InversePropensity
from recsys.replay.rounds import Rounds
from recsys.replay.sums import Sums
from tests.replay.logs import rounds


def mean(log: Rounds) -> tuple[float, float, float]:
    found = closed_form(InversePropensity(), Sums.of(InversePropensity().terms(log)))
    assert found.low is not None and found.high is not None
    return found.low, found.value, found.high


def test_right_propensities_average_the_number_of_actions() -> None:
    low, _, high = mean(rounds(5_000, actions=4))
    assert low < 4 < high


def test_propensities_of_another_policy_do_not() -> None:
    log = rounds(5_000, actions=4)
    _, _, high = mean(replace(log, logging=log.logging.sqrt()))
    assert high < 4


def test_by_hand(four_rounds: Rounds) -> None:
    assert mean(four_rounds)[1] == pytest.approx((1 / 0.8 + 1 / 0.25 + 1 / 0.6 + 1 / 0.2) / 4)
    assert torch.equal(InversePropensity().weight(four_rounds), 1 / four_rounds.logging)
