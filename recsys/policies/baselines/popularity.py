"""The popularity baseline."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor
from typing_extensions import override

from recsys.decode.catalogue import over_legal_set
from recsys.policies.policy import ItemPolicy
from recsys.ranges import at_least
from recsys.types.context import Context


class PopularityPolicy(ItemPolicy):
    """The popularity policy: `π(i) ∝ c_i + smoothing` over the legal set, with training interactions `c_i` of item `i`.

    Args:
        train: one row a user, with the training events as history.
        num_items: number of items `N`.
        smoothing: number of interactions that is added to every item, above 0, which keeps items without interactions
            possible. The order of items does not depend on it.
    """

    log_share: Tensor

    def __init__(self, train: Context, num_items: int, smoothing: float = 1.0) -> None:
        at_least(1, num_items=num_items)
        at_least(0, smoothing=smoothing)
        super().__init__()
        self.register_buffer("log_share", popularity_share(interactions(train, num_items), smoothing).log())

    @override
    def catalogue_log_prob(self, context: Context) -> Float[Tensor, "B N"]:
        return over_legal_set(self.log_share.expand(len(context), -1), context)


def popularity_share(counts: Num[Tensor, " N"], smoothing: float) -> Float[Tensor, " N"]:
    """Return `(c_i + smoothing) / Σ_j (c_j + smoothing)` of each item.

    >>> popularity_share(torch.tensor([3, 0, 1]), 1.0)
    tensor([0.5714, 0.1429, 0.2857])
    """
    smoothed = counts.float() + smoothing
    return smoothed / smoothed.sum()


def interactions(train: Context, num_items: int) -> Int[Tensor, " N"]:
    """Return the number of occurrences of each item in the histories."""
    train.check(num_items, ["history"])
    return torch.bincount(train.history.values, minlength=num_items)
