"""Ways to find the group of candidates a reward stage learns from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from recsys.data.context import Context
from recsys.data.slates import Slates
from recsys.policies.generative import GenerativePolicy


class Rollout(Protocol):
    """Draws single-slot slates for encoded requests."""

    def __call__(self, policy: GenerativePolicy, memory: Any, requests: Context, generator: torch.Generator) -> Slates:
        """`[P, G, 1]`, without gradient."""
        ...


@dataclass(frozen=True)
class Beam:
    """The `candidates` most probable legal items by constrained beam search, ReRe's published setting.

    Deterministic given the policy: an objective that averages over it is biased unless it says otherwise.
    """

    candidates: int = 16

    def __call__(self, policy: GenerativePolicy, memory: Any, requests: Context, generator: torch.Generator) -> Slates:
        """See `Rollout`."""
        return policy.top_from(memory, requests, self.candidates)


@dataclass(frozen=True)
class StochasticBeam:
    """`candidates` distinct legal items drawn without replacement, with their inclusion probabilities."""

    candidates: int = 16

    def __call__(self, policy: GenerativePolicy, memory: Any, requests: Context, generator: torch.Generator) -> Slates:
        """See `Rollout`."""
        return policy.draw_from(memory, requests, self.candidates, generator)


@dataclass(frozen=True)
class Sample:
    """`candidates` independent draws; a candidate may come twice."""

    candidates: int = 16

    def __call__(self, policy: GenerativePolicy, memory: Any, requests: Context, generator: torch.Generator) -> Slates:
        """See `Rollout`."""
        return policy.sample_from(memory, requests, self.candidates, 1, generator)
