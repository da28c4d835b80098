from __future__ import annotations

import torch

from recsys.data.logs.batches import LoggedActions
from recsys.policies.policy import SoftmaxPolicy
from recsys.replay.targets.actions import CONTEXT_FEATURE, PolicyAdapter, request
from recsys.types.context import Context

CONTEXT = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
LOGGED = LoggedActions(torch.tensor([4, 5]), torch.tensor([1, 2]), torch.ones(2), context=CONTEXT)


def by_context(context: Context) -> torch.Tensor:
    """Scores of three items, from the two numbers that the log knew."""
    known = context.features[CONTEXT_FEATURE]
    return torch.cat([known, torch.zeros(len(known), 1)], 1)


def test_a_policy_sees_what_the_log_knew() -> None:
    acting = PolicyAdapter(SoftmaxPolicy(by_context), 3)
    expected = torch.softmax(torch.tensor([[0.0, 1.0, 0.0], [2.0, 0.0, 0.0]]), 1).double()
    assert torch.allclose(acting.target_all(LOGGED), expected, atol=1e-6)
    assert torch.allclose(acting.target(LOGGED), expected[[0, 1], [1, 2]], atol=1e-6)


def test_what_could_not_be_chosen_has_no_chance() -> None:
    mask = torch.tensor([[False, True, True], [True, True, True]])
    limited = LoggedActions(LOGGED.request, LOGGED.action, LOGGED.reward, context=CONTEXT, candidates=mask)
    found = PolicyAdapter(SoftmaxPolicy(by_context), 3).target_all(limited)
    assert found[0, 0] == 0 and torch.allclose(found.sum(1), torch.ones(2).double(), atol=1e-6)


def test_requests_are_users_or_nobody() -> None:
    assert request(LOGGED).users.tolist() == [0, 1]
    users = LoggedActions(LOGGED.request, LOGGED.action, LOGGED.reward, user=torch.tensor([7, 7]))
    assert request(users).users.tolist() == [7, 7] and not request(users).features
