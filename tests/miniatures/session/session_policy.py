"""A session policy: slates of several items, sampled one item after the other and rewarded slot by slot."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from recsys.rewards.reward import Reward
from recsys.systems.group_policy_optimisation import GroupPolicyOptimisation
from recsys.systems.seeds import step_generator
from recsys.types.example import Example
from recsys.types.slates import Slates


class SessionPolicy(GroupPolicyOptimisation):
    """Group policy optimisation whose weights are chosen by what a sampled session earns."""

    monitor: ClassVar[str] = "validation/session_reward"

    def validation_step(self, batch: Example, batch_index: int) -> None:
        """Log what the same few sampled sessions of each request earn, and each of their slots."""
        generator = step_generator(self.seed, self.global_rank, batch_index, self.device)
        slates = self.policy.sample(batch.context, 8, self.slots, generator)
        earned = self.reward(batch, slates).mean((0, 1))
        self.log(self.monitor, earned.sum(), batch_size=len(batch))
        for slot, reward in enumerate(earned, 1):
            self.log(f"validation/slot_reward/{slot}", reward, batch_size=len(batch))


class Walk:
    """A slot earns 1 for the item one place behind the one before it on a ring: the slot's, or the user's last.

    Args:
        items: of the ring.
    """

    order_matters = True
    bounds = (0.0, 1.0)

    def __init__(self, items: int) -> None:
        self.items = items

    def __call__(self, example: Example, slates: Slates) -> Tensor:
        """Return 0 or 1 of each slot, `[B, G, S]`."""
        history = example.context.history
        last = history.values[history.offsets[1:] - 1].view(-1, 1, 1).expand(-1, slates.items.shape[1], -1)
        before = torch.cat([last, slates.items[..., :-1]], -1)
        return (slates.items == (before + 1) % self.items).to(slates.log_prob.dtype)


class Shuffled:
    """The control: the same rewards, given to the candidates of a batch at random.

    Args:
        reward: of slots, what is shuffled.
    """

    order_matters = True

    def __init__(self, reward: Reward) -> None:
        self.reward = reward
        self.bounds = reward.bounds

    def __call__(self, example: Example, slates: Slates) -> Tensor:
        """Return the rewards of slots in an order that the slates decide."""
        earned = self.reward(example, slates).flatten(0, 1)
        order = torch.randperm(len(earned), generator=torch.Generator().manual_seed(int(slates.items.sum())))
        return earned[order].view(slates.items.shape)
