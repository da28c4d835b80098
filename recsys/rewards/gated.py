"""A reward that counts only where another one is high enough."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.context import Context
from recsys.data.slates import Slates
from recsys.rewards.reward import Reward


class Gated:
    """`1[gate > τ] · R`: preference counts only for relevant items, which keeps policies from gaming it.

    Args:
        reward: R, what a slate earns once it passes.
        gate: relevance of the slate.
        threshold: τ, in the gate's unit.

    Source: GRPO-SR (arXiv 2604.14878); docs/papers.md#rewards.
    """

    def __init__(self, reward: Reward, gate: Reward, threshold: float) -> None:
        self.reward = reward
        self.gate = gate
        self.threshold = threshold

    @property
    def order_matters(self) -> bool:
        """Whether either part reads an order."""
        return self.reward.order_matters or self.gate.order_matters

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The reward's bounds, widened to hold 0; None where it has none."""
        bounds = self.reward.bounds
        return None if bounds is None else (min(bounds[0], 0.0), max(bounds[1], 0.0))

    def __call__(self, context: Context, slates: Slates) -> Float[Tensor, "B G"]:
        """`[B, G]`."""
        passes = self.gate(context, slates) > self.threshold
        return torch.where(passes, self.reward(context, slates), 0.0).masked_fill(~slates.alive, 0.0)
