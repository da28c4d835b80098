from __future__ import annotations

import torch

from recsys.data.logs.batches import LoggedActions
from recsys.replay.targets.actions import TargetPolicy, UniformActions

MASK = torch.tensor([[True, False, True, False], [True, True, True, True], [False, True, False, False]])
LOGGED = LoggedActions(torch.arange(3), torch.tensor([2, 1, 0]), torch.ones(3), candidates=MASK)


def test_all_that_could_be_chosen_is_alike() -> None:
    target = UniformActions(4)
    assert isinstance(target, TargetPolicy)
    assert target.target_all(LOGGED).tolist() == [[0.5, 0, 0.5, 0], [0.25] * 4, [0, 1, 0, 0]]
    assert target.target(LOGGED).tolist() == [0.5, 0.25, 0]


def test_the_logged_actions_probability_is_one_of_all() -> None:
    free = LoggedActions(LOGGED.request, LOGGED.action, LOGGED.reward)
    for logged in (LOGGED, free):
        every = UniformActions(4).target_all(logged)
        assert torch.equal(UniformActions(4).target(logged), every[torch.arange(3), logged.action])
        assert torch.allclose(every.sum(1), torch.ones(3).double())
