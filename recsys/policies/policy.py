"""What acts: the one contract of everything that answers a request with slates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recsys.data.context import Context
from recsys.data.slates import Slates


@runtime_checkable
class Policy(Protocol):
    """Law, held by `tests/contracts`: over the slates a request allows, `Σ exp log_prob = 1`, and `sample` draws by it."""

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        """Draw `G = candidates` slates of `S = slots` distinct items for each request."""
        ...

    def log_prob(self, context: Context, slates: Slates) -> Float[Tensor, "B G S"]:
        """Log-probability (nats) of each slot given the slots before it, over what the request allows there."""
        ...


class ItemPolicy(nn.Module, ABC):
    """A policy made of one distribution over items: slots are filled one after the other without replacement.

    A slate's probability is Plackett and Luce's: slot `s` follows the item distribution renormalised over what the
    request allows and no earlier slot took. Subclasses give the distribution; sampling, scoring and ranking follow.
    """

    @abstractmethod
    def catalogue_log_prob(self, context: Context) -> Float[Tensor, "B N"]:
        """Log-probability (nats) of every item as a request's only slot; −inf outside the legal set; sums to 1."""
