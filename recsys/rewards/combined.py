"""Combine rewards: weighted sums and thresholds."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recsys.errors import ConfigurationError
from recsys.rewards.reward import Reward
from recsys.types.example import Example
from recsys.types.slates import Slates


class WeightedSum(nn.Module):
    """`Σ_m w_m R_m`. ReRe's published reward is `hit + ranking`, both with weight 1.

    Args:
        rewards: the parts by name.
        weights: a number for each part, negative ones allowed.

    Raises:
        ConfigurationError: there is no part, or the two name different parts.
    """

    def __init__(self, rewards: Mapping[str, Reward], weights: Mapping[str, float]) -> None:
        if not rewards or set(rewards) != set(weights):
            raise ConfigurationError(
                f"rewards name {sorted(rewards)} and weights name {sorted(weights)}: give each reward one weight, "
                "and at least one reward"
            )
        super().__init__()
        self.rewards = dict(rewards)
        self.parts_that_move = nn.ModuleList(part for part in rewards.values() if isinstance(part, nn.Module))
        self.weights = {name: float(weights[name]) for name in self.rewards}

    @property
    def order_matters(self) -> bool:
        """Whether any part with a weight reads an order."""
        return any(reward.order_matters for name, reward in self.rewards.items() if self.weights[name])

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The sum of the parts' bounds; None where a part has none."""
        low = high = 0.0
        for name, reward in self.rewards.items():
            if reward.bounds is None:
                return None
            ends = [self.weights[name] * end for end in reward.bounds]
            low, high = low + min(ends), high + max(ends)
        return low, high

    def parts(self, example: Example, slates: Slates) -> dict[str, Float[Tensor, "B G"]]:
        """Each part's reward, before its weight, by name: what to plot beside the sum."""
        return {name: reward(example, slates) for name, reward in self.rewards.items()}

    def forward(self, example: Example, slates: Slates) -> Float[Tensor, "B G"]:
        """`[B, G]`."""
        parts = self.parts(example, slates)
        return torch.stack([self.weights[name] * value for name, value in parts.items()]).sum(0)


class ThresholdedReward:
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

    def __call__(self, example: Example, slates: Slates) -> Float[Tensor, "B G"]:
        """`[B, G]`."""
        passes = self.gate(example, slates) > self.threshold
        return torch.where(passes, self.reward(example, slates), 0.0).masked_fill(~slates.mask, 0.0)
