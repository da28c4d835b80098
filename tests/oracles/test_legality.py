"""Why the format reward is not needed here: eight codes, of which four are items, under a policy with free logits.

A policy over all eight loses its items when they are pushed down, and the format reward brings them back. The policy
that is renormalised over what is legal, as those of this package are, has nothing to lose and nothing to gain.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from recsys.objectives.group_relative import ecpo, gbpo
from recsys.objectives.objective import Objective
from recsys.rewards.combined import WeightedSum
from recsys.rewards.legality import LegalityReward
from recsys.rewards.reward import Reward
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.jagged import Jagged
from recsys.types.rollout import Rollout
from recsys.types.slates import Slates

CODES, ITEMS, GROUP = 8, 4, 64
START = torch.tensor([3.0, 2.0, 1.0, 0.0, -1.5, -1.5, -1.5, -1.5], dtype=torch.float64)
CONTEXT = Context(torch.arange(1), Jagged.empty(1), Jagged.empty(1), Jagged.from_rows([list(range(ITEMS))]))


class Disliked(Reward):
    """−1 for every item, as from a user who dislikes what there is."""

    order_matters, bounds = False, (-1.0, 0.0)

    def __call__(self, example: Example, slates: Slates) -> Tensor:
        return -slates.mask.to(slates.log_prob.dtype)


class Liked(Reward):
    """The item's index."""

    order_matters, bounds = False, (0.0, float(ITEMS))

    def __call__(self, example: Example, slates: Slates) -> Tensor:
        return slates.items.sum(-1).to(slates.log_prob.dtype).masked_fill(~slates.mask, 0.0)


def over_all_codes(logits: Tensor) -> Tensor:
    return logits.log_softmax(-1)


def over_the_legal_set(logits: Tensor) -> Tensor:
    return logits.masked_fill(torch.arange(CODES) >= ITEMS, -torch.inf).log_softmax(-1)


def group(log_prob: Tensor, reward: Reward, step: int, discard: bool) -> Rollout:
    """Samples of a policy and what they earn; illegal ones earn what the reward says, or are discarded."""
    generator = torch.Generator().manual_seed(step)
    items = torch.multinomial(log_prob.detach().exp(), GROUP, True, generator=generator).view(1, GROUP, 1)
    if discard:
        items = items.masked_fill(items >= ITEMS, -1)
    tokens = log_prob[items.clamp(min=0)].unsqueeze(-1)
    example = Example(CONTEXT, Slates(items[:, :1], torch.zeros(1, 1, 1)))
    earned = reward(example, Slates(items, tokens.detach().squeeze(-1)))
    return Rollout(items=items, token_log_prob=tokens, behaviour_log_prob=tokens.detach(), reward=earned)


def trained(
    start: Tensor, policy: Callable[[Tensor], Tensor], objective: Objective, reward: Reward, discard: bool, steps: int
) -> Tensor:
    logits = start.clone().requires_grad_()
    optimizer = torch.optim.SGD([logits], lr=1.0)
    for step in range(steps):
        optimizer.zero_grad()
        objective(group(policy(logits), reward, step, discard)).value.backward()
        optimizer.step()
    return logits.detach()


def legality(log_prob: Tensor) -> float:
    return float(log_prob[:ITEMS].exp().sum())


def test_negative_advantages_take_the_items_away_and_the_format_reward_brings_them_back() -> None:
    assert legality(over_all_codes(START)) > 0.95
    pushed = trained(START, over_all_codes, gbpo, Disliked(), discard=True, steps=300)
    assert legality(over_all_codes(pushed)) < 0.5
    restored = trained(pushed, over_all_codes, ecpo, LegalityReward(), discard=False, steps=100)
    assert legality(over_all_codes(restored)) > 0.95


def test_the_policy_over_the_legal_set_stays_in_it() -> None:
    pushed = trained(START, over_the_legal_set, gbpo, Disliked(), discard=False, steps=150)
    assert (pushed - START)[:ITEMS].abs().max() > 0.5, "it learned"
    log_prob = over_the_legal_set(pushed)
    assert abs(legality(log_prob) - 1) < 1e-12 and (log_prob[ITEMS:] == -torch.inf).all()


def test_there_the_format_reward_has_no_gradient_alone_or_beside_another() -> None:
    def gradient(reward: Reward) -> Tensor:
        logits = START.clone().requires_grad_()
        objective = ecpo(group(over_the_legal_set(logits), reward, 0, discard=False))
        return torch.autograd.grad(objective.value, logits)[0]

    assert torch.equal(gradient(LegalityReward()), torch.zeros(CODES, dtype=torch.float64))
    alone = gradient(Liked())
    both = gradient(WeightedSum({"liked": Liked(), "legal": LegalityReward()}, {"liked": 1.0, "legal": 1.0}))
    assert alone.abs().max() > 0.1
    torch.testing.assert_close(both, alone)
