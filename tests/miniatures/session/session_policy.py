"""A session policy: slates of several items, sampled one item after the other and rewarded slot by slot."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from recsys import Example, Slates
from recsys.rewards import Reward
from recsys.systems import GroupPolicyOptimisation, step_generator


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


class Engagement:
    """A slot earns the logged feedback on its item: `v` where the log showed the item, 0 where it did not.

    Args:
        channel: of the feedback, with one number a slot.
        most: its largest value.
    """

    order_matters = True

    def __init__(self, channel: str = "click", most: float = 1.0) -> None:
        self.channel = channel
        self.bounds = (0.0, most)

    def __call__(self, example: Example, slates: Slates) -> Float[Tensor, "B G S"]:
        """Return what each slot earns, `[B, G, S]`; the logged slates have one number a slot in the channel."""
        shown = example.slates.items[:, 0, None, None]
        value = example.feedback[self.channel][:, 0, None, None]
        same = (slates.items.unsqueeze(-1) == shown) & (shown >= 0)
        return (same * value).amax(-1)


class Shuffled:
    """The control: the same rewards, given to the candidates of a batch at random.

    Args:
        reward: of slots, what is shuffled.
    """

    order_matters = True

    def __init__(self, reward: Reward) -> None:
        self.reward = reward
        self.bounds = reward.bounds

    def __call__(self, example: Example, slates: Slates) -> Float[Tensor, "B G S"]:
        """Return the rewards of slots in an order that the slates decide, `[B, G, S]`."""
        earned = self.reward(example, slates).flatten(0, 1)
        order = torch.randperm(len(earned), generator=torch.Generator().manual_seed(int(slates.items.sum())))
        return earned[order].view(slates.items.shape)
