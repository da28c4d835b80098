from __future__ import annotations

from dataclasses import replace

import pytest

from recsys.errors import RequestError
from recsys.replay.rounds import MISSING, Rounds


def test_weights_and_predictions_by_hand(four_rounds: Rounds) -> None:
    assert len(four_rounds) == 4
    assert four_rounds.weight.tolist() == pytest.approx([0.5, 2, 1, 4])
    assert four_rounds.predicted.tolist() == [1, 1, 1, 1.5]
    assert four_rounds.expected.tolist() == pytest.approx([1.6, 0.5, 1.4, 1.4])


def test_what_may_be_missing_is_refused_by_name(four_rounds: Rounds) -> None:
    for name, words in MISSING.items():
        with pytest.raises(RequestError, match=words):
            replace(four_rounds, **{name: None}).need(name)


def test_a_prediction_needs_a_model(four_rounds: Rounds) -> None:
    without = replace(four_rounds, predicted_all=None)
    with pytest.raises(RequestError, match="reward model"):
        _ = without.predicted
    with pytest.raises(RequestError, match="under the policy"):
        _ = replace(four_rounds, target_all=None).expected
