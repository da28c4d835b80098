from __future__ import annotations

import torch
from torch import Tensor, nn

from recsys.policies.policy import SoftmaxPolicy
from recsys.types.context import Context
from tests.policies.contexts import requests


class UserScores(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(3, 5))

    def forward(self, context: Context) -> Tensor:
        return self.table[context.users]


def test_is_the_softmax_at_a_temperature_over_the_legal_set() -> None:
    scorer = UserScores()
    share = SoftmaxPolicy(scorer, temperature=0.5).catalogue_log_prob(requests([[]] * 3, [[0], [], [1, 2]])).exp()
    expected = torch.softmax(scorer.table / 0.5, 1)
    expected[0, 0] = expected[2, 1] = expected[2, 2] = 0
    torch.testing.assert_close(share, expected / expected.sum(1, keepdim=True))


def test_temperature_moves_probability_not_order() -> None:
    scorer, asked = UserScores(), requests([[]] * 3)
    cold, hot = (SoftmaxPolicy(scorer, temperature) for temperature in (0.01, 100.0))
    assert torch.equal(cold.top(asked, 5).items, hot.top(asked, 5).items)
    assert (cold.top(asked, 1).log_prob > hot.top(asked, 1).log_prob).all()
    torch.testing.assert_close(hot.catalogue_log_prob(asked).exp(), torch.full((3, 5), 0.2), atol=0.02, rtol=0)


def test_learns_through_its_scorer() -> None:
    policy = SoftmaxPolicy(UserScores())
    assert len(list(policy.parameters())) == 1
    policy.catalogue_log_prob(requests([[]] * 3, [[0]] * 3))[:, 1].sum().backward()
    grad = next(policy.parameters()).grad
    assert grad is not None and grad.isfinite().all() and (grad[:, 0] == 0).all()


def test_a_plain_function_scores_too() -> None:
    policy = SoftmaxPolicy(lambda context: context.users.float().unsqueeze(1) * torch.arange(4.0))
    assert policy.top(requests([[], []]), 1).items.flatten()[1].item() == 3
