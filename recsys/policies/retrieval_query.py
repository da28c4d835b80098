"""Retrieval queries from a slate model: by the mean of the score, or by an upper confidence bound."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.models.slates.slate_model import SlateModel
from recsys.policies.slate_posterior import mean_position
from recsys.types.context import Context


class MeanQuery:
    """A query by posterior means: the mean user vector `E z`, in an index of the mean item vectors `E v_i`.

    The affinity of the index is that of the model. The mean vector of a user without history is 0. With inner products
    such a user gets arbitrary items, with distances the items nearest to 0.

    Args:
        model: a trained slate model.
    """

    def __init__(self, model: SlateModel) -> None:
        self.model = model

    @torch.no_grad()
    def vectors(self) -> Float[Tensor, "N D"]:
        """Return the vectors of the items for the index, `E v_i`."""
        return every_item(self.model)[0]

    @torch.no_grad()
    def __call__(self, context: Context) -> Float[Tensor, "B D"]:
        """Return the query of each request, `E z`."""
        return mean_position(self.model, context)[0]


class UpperConfidenceQuery:
    """A query by an upper confidence bound of the score, which also retrieves uncertain items. For inner products.

        ⟨z, E v_i⟩ + width · ‖z‖ · √(mean_d Var v_id)   =   ⟨ (z, width · ‖z‖), (E v_i, √(mean_d Var v_id)) ⟩

    `z` is the mean user vector. The second term is `width` standard deviations of `⟨z, v_i⟩` given `z` if the variance
    of an item is the same in every direction; otherwise it uses the mean variance over directions.

    Args:
        model: a trained slate model whose affinity is `inner_product`.
        width: number of standard deviations.
    """

    def __init__(self, model: SlateModel, width: float = 2.0) -> None:
        self.model = model
        self.width = width

    @torch.no_grad()
    def vectors(self) -> Float[Tensor, "N D_plus_one"]:
        """Return the vectors of the items for an index by inner product."""
        mean, variance = every_item(self.model)
        return torch.cat([mean, variance.mean(1, keepdim=True).sqrt()], 1)

    @torch.no_grad()
    def __call__(self, context: Context) -> Float[Tensor, "B D_plus_one"]:
        """Return the query of each request, `(E z, width · ‖E z‖)`."""
        mean, _ = mean_position(self.model, context)
        return torch.cat([mean, self.width * mean.norm(dim=1, keepdim=True)], 1)


def every_item(model: SlateModel) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N D"]]:
    """Return mean and variance of the vectors of all items."""
    return model.items.moments(torch.arange(model.items.num_items, device=next(model.parameters()).device))
