from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recsys.data.logs.batches import LoggedActions
from recsys.errors import RequestError
from recsys.replay.actions.batch import PART_NAMES, BanditBatch, join_target
from recsys.replay.targets.actions import UniformActions

LOGGED = LoggedActions(
    torch.arange(2),
    torch.tensor([2, 0]),
    torch.tensor([1.0, 0.0]),
    torch.tensor([0.5, 0.25]),
    torch.tensor([3, 3]),
)


class Counting(UniformActions):
    """Counts how often it is asked for every action."""

    asked = 0

    def target_all(self, batch: LoggedActions) -> torch.Tensor:
        Counting.asked += 1
        return super().target_all(batch)


def test_what_only_weighs_asks_for_nothing_more() -> None:
    rounds = join_target(LOGGED, Counting(4), Counting(4), {"predicted_all": lambda: pytest.fail("nobody asked")})
    assert rounds.weight.tolist() == [0.5, 1.0] and Counting.asked == 0
    assert rounds.user is LOGGED.user


def test_what_is_asked_for_is_made_once() -> None:
    Counting.asked = 0
    rounds = join_target(LOGGED, Counting(4), UniformActions(4))
    assert rounds.need("target_all") is rounds.need("target_all") and Counting.asked == 1
    assert torch.equal(rounds.need("logging_all"), torch.full((2, 4), 0.25, dtype=torch.float64))


def test_what_cannot_be_made_is_missing() -> None:
    with pytest.raises(RequestError, match=r"probability under the logging policy.*log\.logging"):
        join_target(LOGGED, UniformActions(4)).need("logging_all")


def test_a_log_without_propensities_is_refused() -> None:
    bare = LoggedActions(LOGGED.request, LOGGED.action, LOGGED.reward)
    with pytest.raises(RequestError, match="no propensities: estimate them"):
        join_target(bare, UniformActions(4))


def test_weights_and_predictions_by_hand(four_rounds: BanditBatch) -> None:
    assert len(four_rounds) == 4
    assert four_rounds.weight.tolist() == pytest.approx([0.5, 2, 1, 4])
    assert four_rounds.predicted.tolist() == [1, 1, 1, 1.5]
    assert four_rounds.expected.tolist() == pytest.approx([1.6, 0.5, 1.4, 1.4])


def test_what_may_be_missing_is_refused_by_name(four_rounds: BanditBatch) -> None:
    for name, words in PART_NAMES.items():
        with pytest.raises(RequestError, match=words):
            replace(four_rounds, **{name: None}).need(name)


def test_a_prediction_needs_a_model(four_rounds: BanditBatch) -> None:
    without = replace(four_rounds, predicted_all=None)
    with pytest.raises(RequestError, match="reward model"):
        _ = without.predicted
    with pytest.raises(RequestError, match="under the target policy"):
        _ = replace(four_rounds, target_all=None).expected
