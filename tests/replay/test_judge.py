from __future__ import annotations

import pytest
import torch

from recsys.data.logged_actions import LoggedActions
from recsys.errors import RequestError
from recsys.replay.judge import judge
from recsys.replay.targets.uniform import Uniform

LOGGED = LoggedActions(
    torch.arange(2),
    torch.tensor([2, 0]),
    torch.tensor([1.0, 0.0]),
    torch.tensor([0.5, 0.25]),
    torch.tensor([3, 3]),
    torch.tensor([0, 1]),
)


class Counting(Uniform):
    """Counts how often it is asked for every action."""

    asked = 0

    def target_all(self, batch: LoggedActions) -> torch.Tensor:
        Counting.asked += 1
        return super().target_all(batch)


def test_what_only_weighs_asks_for_nothing_more() -> None:
    rounds = judge(LOGGED, Counting(4), Counting(4), {"predicted_all": lambda: pytest.fail("nobody asked")})
    assert rounds.weight.tolist() == [0.5, 1.0] and Counting.asked == 0
    assert rounds.user is LOGGED.user and rounds.logger is LOGGED.logger


def test_what_is_asked_for_is_made_once() -> None:
    Counting.asked = 0
    rounds = judge(LOGGED, Counting(4), Uniform(4))
    assert rounds.need("target_all") is rounds.need("target_all") and Counting.asked == 1
    assert torch.equal(rounds.need("logging_all"), torch.full((2, 4), 0.25, dtype=torch.float64))


def test_what_cannot_be_made_is_missing() -> None:
    with pytest.raises(RequestError, match=r"probability under the logging policy.*log\.logging"):
        judge(LOGGED, Uniform(4)).need("logging_all")


def test_a_log_without_propensities_is_refused() -> None:
    bare = LoggedActions(LOGGED.request, LOGGED.action, LOGGED.reward)
    with pytest.raises(RequestError, match="no propensities: estimate them"):
        judge(bare, Uniform(4))
