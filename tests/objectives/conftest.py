"""A tiny policy over a two-level catalogue, and groups of single items sampled from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from recsys.types.rollout import Rollout


def path_log_prob(logits: Tensor, branching: int = 3) -> Tensor:
    """`[..., N, 2]`: an item's two codes under a softmax over items, `branching` items behind each first code."""
    log_prob = logits.log_softmax(-1)
    first = log_prob.unflatten(-1, (-1, branching)).logsumexp(-1).repeat_interleave(branching, -1)
    return torch.stack([first, log_prob - first], -1)


def rollout_of(
    tokens: Tensor, items: Tensor, reward: Tensor, target: int = 0, behaviour: Tensor | None = None, branching: int = 3
) -> Rollout:
    """The group of the given items (−1 = no candidate) under one policy, given as `[N, 2]` log-probabilities."""
    exists = items >= 0
    nobody = ~exists[..., None, None]
    scored = tokens[items.clamp(min=0)].unsqueeze(2).masked_fill(nobody, float("-inf"))
    old = scored if behaviour is None else behaviour[items.clamp(min=0)].unsqueeze(2).masked_fill(nobody, float("-inf"))
    same_first = items // branching == target // branching
    return Rollout(
        items=items.unsqueeze(-1),
        token_log_prob=scored,
        behaviour_log_prob=old.detach(),
        reward=reward[items.clamp(min=0)].masked_fill(~exists, float("nan")),
        is_logged=items == target,
        logged_log_prob=tokens[target].expand(items.shape[0], 1, -1),
        reference_log_prob=old.detach() - 0.1,
        shared_codes=torch.where(items == target, 2, same_first.long()),
    )


@pytest.fixture
def logits() -> Tensor:
    return torch.tensor([0.3, -0.5, 1.0, 0.0, -1.2, 0.6], dtype=torch.float64, requires_grad=True)


@pytest.fixture
def make_rollout(logits: Tensor) -> Callable[..., Rollout]:
    """Groups of `logits`' policy; rewards are those of the items `[1, 0, .5, 0, 0, .2]` unless given."""

    def make(
        items: list[list[int]], reward: Tensor | None = None, old: Tensor | None = None, **changes: object
    ) -> Rollout:
        values = torch.tensor([1.0, 0.0, 0.5, 0.0, 0.0, 0.2], dtype=torch.float64) if reward is None else reward
        behaviour = None if old is None else path_log_prob(old)
        group = rollout_of(path_log_prob(logits), torch.tensor(items), values, behaviour=behaviour)
        return replace(group, **changes)

    return make


SLOT_REWARD = torch.tensor([[1.0, 0.0, 0.5, 0.0, 0.0, 0.2], [0.0, 0.3, 0.0, -0.4, 1.0, 0.0]], dtype=torch.float64)
"""Of each item in the first and in the second slot."""


def slate_log_prob(logits: Tensor, items: Tensor, branching: int = 3) -> Tensor:
    """`[..., 2, 2]`: the codes of both items of a slate, the second over the items that the first leaves."""
    first = path_log_prob(logits, branching)[items[..., 0]]
    placed = torch.nn.functional.one_hot(items[..., 0], len(logits)).bool()
    left = logits.expand(placed.shape).masked_fill(placed, -1e9)
    second = path_log_prob(left, branching).gather(-2, items[..., 1:, None].expand(*items.shape[:-1], 1, 2))
    return torch.cat([first.unsqueeze(-2), second], -2)


@pytest.fixture
def make_slates(logits: Tensor) -> Callable[..., Rollout]:
    """Groups of slates of two slots of `logits`' policy, rewarded slot by slot with `SLOT_REWARD`."""

    def make(items: list[list[tuple[int, int]]], old: Tensor | None = None, **changes: object) -> Rollout:
        slates = torch.tensor(items)
        nobody = ~(slates >= 0).all(-1)
        shown = slates.where(~nobody.unsqueeze(-1), torch.tensor([0, 1]))
        dead = nobody[..., None, None]
        tokens = slate_log_prob(logits, shown).masked_fill(dead, float("-inf"))
        before = logits.detach() if old is None else old
        slot_reward = SLOT_REWARD[torch.arange(2), shown].masked_fill(nobody.unsqueeze(-1), float("nan"))
        group = Rollout(
            items=slates,
            token_log_prob=tokens,
            behaviour_log_prob=slate_log_prob(before, shown).masked_fill(dead, float("-inf")).detach(),
            reward=slot_reward.sum(-1),
            slot_reward=slot_reward,
            logged_log_prob=slate_log_prob(logits, torch.tensor([0, 4])).expand(len(slates), 2, 2),
            is_logged=(slates == torch.tensor([0, 4])).all(-1),
            reference_log_prob=slate_log_prob(before, shown).masked_fill(dead, float("-inf")).detach() - 0.1,
        )
        return group.replace(**changes)

    return make
