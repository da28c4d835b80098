"""Dense rewards from frozen models: a next-item network's logits, or similarity to the logged item."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from recsys.ranges import below
from recsys.rewards.reward import Reward
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.slates import Slates


@runtime_checkable
class CatalogueScorer(Protocol):
    """Anything with a distribution over items; every `recsys.policies` item policy is one."""

    def catalogue_log_prob(self, context: Context) -> Float[Tensor, "B N"]:
        """Log-probability (nats) of every item; −inf outside the legal set."""
        ...


class CollaborativeReward(nn.Module, Reward):
    """`max(log p(e | history), floor)` under a frozen scorer, nats, mean over the slots of a slate.

    The scorer never sees the target and gets no gradient. Policies learn to game this reward (reported by ReRe, arXiv
    2510.12211, and MiniOneRec, arXiv 2510.24431): judge by another model than the one trained on.

    Args:
        scorer: a policy over items, already trained. As a module it moves with this one and stays in evaluation mode.
        floor: lowest reward of an item, nats, below 0; keeps items the scorer holds impossible finite.

    Raises:
        ConfigurationError: the floor is not a negative number.
    """

    order_matters = False

    def __init__(self, scorer: CatalogueScorer, floor: float = -20.0) -> None:
        below(0, floor=floor)
        super().__init__()
        self.scorer = scorer
        self.eval()
        self.floor = floor
        self.bounds = (floor, 0.0)

    def train(self, mode: bool = True) -> CollaborativeReward:
        """Stays in evaluation mode: the scorer is frozen, dropout off."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, example: Example, slates: Slates) -> Float[Tensor, "B G"]:
        """`[B, G]`, in [floor, 0]."""
        log_prob = self.scorer.catalogue_log_prob(example.context).clamp(self.floor, 0.0)
        of_slot = log_prob.gather(-1, slates.items.clamp(min=0).flatten(1)).view_as(slates.log_prob)
        return of_slot.mean(-1).masked_fill(~slates.mask, 0.0).to(slates.log_prob.dtype)


class SemanticReward(nn.Module, Reward):
    """Cosine of an item's vector to the logged next item's, mean over the slots of a slate.

    Items with a zero vector earn 0. Policies learn to game this reward (reported by ReRe, arXiv 2510.12211): watch
    coverage, and judge by another.

    Args:
        item_vectors: `[N, D]`, one row an item, any scale; moves with the module, stays out of the state dict.
    """

    order_matters = False
    bounds = (-1.0, 1.0)

    item_vectors: Tensor

    def __init__(self, item_vectors: Float[Tensor, "N D"]) -> None:
        super().__init__()
        self.register_buffer("item_vectors", normalize(item_vectors, dim=-1), persistent=False)

    def forward(self, example: Example, slates: Slates) -> Float[Tensor, "B G"]:
        """`[B, G]`, in [−1, 1]."""
        target = self.item_vectors[example.item]
        shown = self.item_vectors[slates.items.clamp(min=0)]
        cosine = torch.einsum("bgsd,bd->bgs", shown, target).clamp(-1.0, 1.0)
        return cosine.mean(-1).masked_fill(~slates.mask, 0.0).to(slates.log_prob.dtype)
