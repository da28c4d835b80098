from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recsys.replay.doubly_robust import DR
from recsys.replay.more_robust import MRDR, variance_weight
from recsys.replay.rounds import Rounds


def test_weights_by_hand(four_rounds: Rounds) -> None:
    expected = [0.25 * 0.2, 4 * 0.75, 1 * 0.4, 16 * 0.8]
    assert variance_weight(four_rounds).tolist() == pytest.approx(expected)


def test_it_is_dr_with_the_other_predictions(four_rounds: Rounds) -> None:
    other = torch.tensor([[0.5, 0.1]] * 4, dtype=torch.float64)
    both = replace(four_rounds, robust_all=other)
    expected = DR().terms(replace(four_rounds, predicted_all=other))
    torch.testing.assert_close(MRDR().terms(both), expected)
    assert not torch.allclose(DR().terms(both), expected)
    assert MRDR().terms != DR().terms
