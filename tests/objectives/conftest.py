"""A tiny policy over a two-level catalogue, and groups drawn from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from recsys.types.rollout import Group


def path_log_prob(logits: Tensor, branching: int = 3) -> Tensor:
    """`[..., N, 2]`: an item's two codes under a softmax over items, `branching` items behind each first code."""
    log_prob = logits.log_softmax(-1)
    first = log_prob.unflatten(-1, (-1, branching)).logsumexp(-1).repeat_interleave(branching, -1)
    return torch.stack([first, log_prob - first], -1)


def group_of(
    tokens: Tensor, items: Tensor, reward: Tensor, target: int = 0, behaviour: Tensor | None = None, branching: int = 3
) -> Group:
    """The group of the given items (−1 = no candidate) under one policy, given as `[N, 2]` log-probabilities."""
    alive = items >= 0
    scored = tokens[items.clamp(min=0)].masked_fill(~alive.unsqueeze(-1), float("-inf"))
    old = (
        scored if behaviour is None else behaviour[items.clamp(min=0)].masked_fill(~alive.unsqueeze(-1), float("-inf"))
    )
    same_first = items // branching == target // branching
    return Group(
        token_log_prob=scored,
        behaviour_log_prob=old.detach(),
        reward=reward[items.clamp(min=0)].masked_fill(~alive, float("nan")),
        is_target=items == target,
        alive=alive,
        target_log_prob=tokens[target].expand(items.shape[0], -1),
        reference_log_prob=old.detach() - 0.1,
        shared_codes=torch.where(items == target, 2, same_first.long()),
    )


@pytest.fixture
def logits() -> Tensor:
    return torch.tensor([0.3, -0.5, 1.0, 0.0, -1.2, 0.6], dtype=torch.float64, requires_grad=True)


@pytest.fixture
def make_group(logits: Tensor) -> Callable[..., Group]:
    """Groups of `logits`' policy; rewards are those of the items `[1, 0, .5, 0, 0, .2]` unless given."""

    def make(
        items: list[list[int]], reward: Tensor | None = None, old: Tensor | None = None, **changes: object
    ) -> Group:
        values = torch.tensor([1.0, 0.0, 0.5, 0.0, 0.0, 0.2], dtype=torch.float64) if reward is None else reward
        behaviour = None if old is None else path_log_prob(old)
        group = group_of(path_log_prob(logits), torch.tensor(items), values, behaviour=behaviour)
        return replace(group, **changes)

    return make
