"""Parts that a configuration names and that misbehave; importable in a child process."""

from __future__ import annotations

import torch

from recsys.policies.bandits.greedy import UniformPolicy
from recsys.types.context import Context
from recsys.types.slates import Slates


class Failing(UniformPolicy):
    """Fails at its first slate."""

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        raise ValueError("this policy fails")


class FirstItems(UniformPolicy):
    """A policy from outside the package."""

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        items = torch.arange(slots).expand(len(context), 1, slots)
        return Slates(items, torch.zeros(items.shape))
