"""Retrieval queries of a slate model: the mean score, or an upper confidence bound."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.models.slates.slate_model import SlateModel
from recsys.policies.slate_posterior import mean_position
from recsys.types.context import Context


class MeanQuery:
    """Everything at its mean: the user's position, in an index of the items' means by the model's own affinity.

    The mean of a user without a history is 0, of which all inner products are 0: such a user gets any items. By
    distance they get those nearest to 0.

    Args:
        model: trained.
    """

    def __init__(self, model: SlateModel) -> None:
        self.model = model

    @torch.no_grad()
    def vectors(self) -> Float[Tensor, "N D"]:
        """What the index holds of every item: `E v_i`."""
        return every_item(self.model)[0]

    @torch.no_grad()
    def __call__(self, context: Context) -> Float[Tensor, "B D"]:
        """`E z`."""
        return mean_position(self.model, context)[0]


class UpperConfidenceQuery:
    """An upper bound of the score, so that items of which little is known are found too; for the inner product.

    `⟨z, E v_i⟩ + width · ‖z‖ · √(mean_d Var v_id)` is an inner product of `(z, width · ‖z‖)` and
    `(E v_i, √(mean_d Var v_id))`, at `z` its mean. The second term is `width` deviations of `⟨z, v_i⟩` given `z` where
    an item's deviation is the same in every direction, and where it is not, the mean square of it over directions.

    Args:
        model: trained, with `inner_product` for affinity.
        width: how many deviations.
    """

    def __init__(self, model: SlateModel, width: float = 2.0) -> None:
        self.model = model
        self.width = width

    @torch.no_grad()
    def vectors(self) -> Float[Tensor, "N D_plus_one"]:
        """What an index by inner product holds of every item."""
        mean, variance = every_item(self.model)
        return torch.cat([mean, variance.mean(1, keepdim=True).sqrt()], 1)

    @torch.no_grad()
    def __call__(self, context: Context) -> Float[Tensor, "B D_plus_one"]:
        """`(E z, width · ‖E z‖)`."""
        mean, _ = mean_position(self.model, context)
        return torch.cat([mean, self.width * mean.norm(dim=1, keepdim=True)], 1)


def every_item(model: SlateModel) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N D"]]:
    """Mean and variance of all items' vectors."""
    return model.items.moments(torch.arange(model.items.num_items, device=next(model.parameters()).device))
