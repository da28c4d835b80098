"""What a slate model says of each click before it happens, with how sure it is."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.data.user_slates import UserSlates
from recsys.models.slate_model import SlateModel


@torch.no_grad()
def forecast(
    model: SlateModel, batch: UserSlates, draws: int, generator: torch.Generator
) -> Float[Tensor, "draws U T S1"]:
    """Probability of each slot and then of no click, given the clicks before, under draws of the posterior.

    Their mean over the draws is the posterior predictive, their spread what is not known.

    Args:
        model: trained.
        batch: users with their slates.
        draws: of everything, one a user each.
        generator: on the device of the model.
    """
    found = []
    for _ in range(draws):
        values = model.draw(batch.slates, generator)
        found.append(model.choices(model.forecast(values, batch.click), values, batch.slates).exp())
    return torch.stack(found)


def answered(probability: Float[Tensor, "U T S1"], click: Int[Tensor, "U T"]) -> Float[Tensor, "U T"]:
    """Probability of what was answered, where −1 is no click.

    >>> answered(torch.tensor([[[0.2, 0.3, 0.5], [0.1, 0.0, 0.9]]]), torch.tensor([[1, -1]]))
    tensor([[0.3000, 0.9000]])
    """
    choice = click.where(click >= 0, probability.shape[-1] - 1)
    return probability.gather(-1, choice.unsqueeze(-1)).squeeze(-1)
