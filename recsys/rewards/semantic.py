"""How much the recommended items resemble the logged one."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from recsys.data.context import Context
from recsys.data.slates import Slates
from recsys.rewards.reward import logged_target


class Semantic(nn.Module):
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

    def forward(self, context: Context, slates: Slates) -> Float[Tensor, "B G"]:
        """`[B, G]`, in [−1, 1]."""
        target = self.item_vectors[logged_target(context)]
        shown = self.item_vectors[slates.items.clamp(min=0)]
        cosine = torch.einsum("bgsd,bd->bgs", shown, target).clamp(-1.0, 1.0)
        return cosine.mean(-1).masked_fill(~slates.alive, 0.0).to(slates.log_prob.dtype)
