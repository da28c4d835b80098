from __future__ import annotations

import pytest
import torch

from recsys.data.logs.batches import LoggedActions, LoggedEpisodes, LoggedSlates
from recsys.replay.estimator import OnPolicy


def value(batch: object) -> float:
    return float(OnPolicy().value(OnPolicy().terms(batch).sum(0)))  # type: ignore[arg-type]


def test_the_mean_of_what_rounds_slates_and_episodes_earned() -> None:
    assert value(LoggedActions(torch.arange(2), torch.arange(2), torch.tensor([1.0, 2.0]))) == 1.5
    rewards = torch.tensor([[1.0, 2.0], [0.5, 0.0]])
    assert value(LoggedSlates(torch.arange(2), torch.ones(2, 2).long(), rewards)) == 1.75
    ones = torch.ones(2, 2)
    assert value(LoggedEpisodes(torch.arange(2), ones.long(), rewards, ones, ones > 0)) == 1.75


def test_no_round_has_no_term() -> None:
    none = torch.zeros(0)
    assert OnPolicy().terms(LoggedActions(none.long(), none.long(), none)).shape == (0, 2)
    assert OnPolicy().weight(LoggedActions(none.long(), none.long(), none)).shape == (0,)


def test_parts_add_up() -> None:
    reward = torch.rand(7)
    whole, parts = LoggedActions(torch.arange(7), torch.arange(7), reward), []
    for rows in (slice(0, 3), slice(3, 7)):
        parts.append(OnPolicy().terms(LoggedActions(torch.arange(7)[rows], torch.arange(7)[rows], reward[rows])).sum(0))
    assert torch.allclose(sum(parts, torch.zeros(2)).double(), OnPolicy().terms(whole).sum(0))
    assert value(whole) == pytest.approx(float(reward.double().mean()))
