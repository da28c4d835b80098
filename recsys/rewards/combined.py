"""Combine rewards: weighted sums and thresholds.

A part may reward slates `[B, G]` or slots `[B, G, S]`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recsys.errors import ConfigurationError
from recsys.ranges import finite
from recsys.rewards.reward import Reward, compares_requests
from recsys.types.example import Example
from recsys.types.slates import Slates


class WeightedSum(nn.Module, Reward):
    """`Σ_m w_m R_m`. ReRe's published reward is `hit + ranking`, both with weight 1.

    Where some parts reward slots and others slates, the sum is one a slot, and what a whole slate earned is credited to
    its last slot: every slot's reward to go then holds it.

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
        finite(**{f"weights.{name}": weight for name, weight in weights.items()})
        super().__init__()
        self.rewards = dict(rewards)
        self.parts_that_move = nn.ModuleList(part for part in rewards.values() if isinstance(part, nn.Module))
        self.weights = {name: float(weights[name]) for name in self.rewards}
        self.order_matters = any(part.order_matters for name, part in self.rewards.items() if self.weights[name])
        self.compares_requests = all(
            compares_requests(part) for name, part in self.rewards.items() if self.weights[name]
        )
        self.bounds = self._bounds()

    def _bounds(self) -> tuple[float, float] | None:
        """Return the sum of the parts' bounds, None where a part has none."""
        low = high = 0.0
        for name, reward in self.rewards.items():
            if reward.bounds is None:
                return None
            ends = [self.weights[name] * end for end in reward.bounds]
            low, high = low + min(ends), high + max(ends)
        return low, high

    def parts(self, example: Example, slates: Slates) -> dict[str, Tensor]:
        """Each part's reward, before its weight, by name: what to plot beside the sum."""
        return {name: reward(example, slates) for name, reward in self.rewards.items()}

    def total(self, parts: Mapping[str, Tensor]) -> Float[Tensor, "B G *S"]:
        """Return the weighted sum of parts that were computed before.

        Args:
            parts: what `parts` returned.
        """
        slots = max((value.shape[2] for value in parts.values() if value.ndim == 3), default=None)
        values = parts if slots is None else {name: at_slots(value, slots) for name, value in parts.items()}
        return torch.stack([self.weights[name] * value for name, value in values.items()]).sum(0)

    def forward(self, example: Example, slates: Slates) -> Float[Tensor, "B G *S"]:
        """`[B, G]`, or `[B, G, S]` where a part rewards slots."""
        return self.total(self.parts(example, slates))


def at_slots(value: Float[Tensor, "B G *S"], slots: int) -> Float[Tensor, "B G slots"]:
    """Return rewards of slots; a slate's is credited to its last slot.

    Args:
        value: `[B, G]` or `[B, G, S]`.
        slots: S.

    >>> at_slots(torch.tensor([[1.0, 2.0]]), 2)
    tensor([[[0., 1.],
             [0., 2.]]])
    """
    if value.ndim == 3:
        return value
    return torch.cat([value.new_zeros(*value.shape, slots - 1), value.unsqueeze(-1)], -1)


def with_parts(
    reward: Reward, example: Example, slates: Slates
) -> tuple[Float[Tensor, "B G *S"], dict[str, Float[Tensor, "B G"]]]:
    """Return what slates earn, and each part of a weighted sum by name, summed over slots and before its weight.

    Args:
        reward: any reward; only a `WeightedSum` has parts.
        example: see `Reward`.
        slates: see `Reward`.
    """
    if not isinstance(reward, WeightedSum):
        return reward(example, slates), {}
    parts = reward.parts(example, slates)
    slates_earn = {name: value.sum(-1) if value.ndim == 3 else value for name, value in parts.items()}
    return reward.total(parts), slates_earn


class ThresholdedReward(Reward):
    """`1[gate > τ] · R`: preference counts only for relevant items, which keeps policies from gaming it.

    Args:
        reward: R, what a slate, or each of its slots, earns once it passes.
        gate: relevance of the slate; or of each slot, where R rewards slots.
        threshold: τ, in the gate's unit.

    Source: GRPO-SR (arXiv 2604.14878); docs/papers.md#rewards.
    """

    def __init__(self, reward: Reward, gate: Reward, threshold: float) -> None:
        finite(threshold=threshold)
        self.reward = reward
        self.gate = gate
        self.threshold = threshold
        self.order_matters = reward.order_matters or gate.order_matters
        self.compares_requests = compares_requests(reward) and compares_requests(gate)
        self.bounds = None if reward.bounds is None else (min(reward.bounds[0], 0.0), max(reward.bounds[1], 0.0))

    def __call__(self, example: Example, slates: Slates) -> Float[Tensor, "B G *S"]:
        """Return what R gives, `[B, G]` or `[B, G, S]`, and 0 where the gate is closed; NaN where it is NaN.

        Raises:
            ConfigurationError: the gate speaks of slots where R speaks of slates.
        """
        gate, reward, exists = self.gate(example, slates), self.reward(example, slates), slates.mask
        passes = gate.where(gate.isnan(), (gate > self.threshold).to(gate.dtype))
        if passes.ndim > reward.ndim:
            raise ConfigurationError("the gate gives a number a slot, the reward one a slate: give both one a slot")
        if reward.ndim == 3:
            passes, exists = passes.unsqueeze(-1) if passes.ndim == 2 else passes, exists.unsqueeze(-1)
        return torch.where(passes > 0, reward, passes.to(reward.dtype)).masked_fill(~exists, 0.0)
