"""The evidence lower bound of a slate model, a batch of users at a time."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.data.user_slates import Exposure, UserSlates
from recsys.models.slate_model import SlateModel, SlateValues
from recsys.objectives.elbo import negative_elbo_share


def draw_starts(
    model: SlateModel, slates: Int[Tensor, "U T S"], starts: int, generator: torch.Generator
) -> SlateValues:
    """Everything for each user, and for them once more with every further start: `starts · U` users.

    Args:
        model: what is drawn from, with gradient.
        slates: items, −1 in empty slots.
        starts: draws of each user's start, at least 1.
        generator: on the device of the model.
    """
    first = model.draw(slates, generator)
    others = first.start.new_empty(starts - 1, *first.start.shape).normal_(generator=generator)
    return SlateValues(
        first.vectors.repeat(starts, 1, 1, 1),
        torch.cat([first.start.unsqueeze(0), others]).flatten(0, 1),
        first.no_click.repeat(starts, 1),
    )


def slate_negative_elbo(
    model: SlateModel, values: SlateValues, batch: UserSlates, exposure: Exposure, temperature: float = 1.0
) -> Float[Tensor, ""]:
    """The batch's share of the negative bound at these values; over the batches of an epoch they sum to it. Nats.

    A user's starts are weighed by how well they explain the user's clicks (`SlateModel.log_weight`). An item's KL is
    dealt out evenly over the slots of the counted slates that show it, all other KL evenly over the counted slates
    (`negative_elbo_share`).

    Args:
        model: whose bound it is.
        values: of the users of the batch, any number of times over; the same but for their starts.
        batch: whose slates they are.
        exposure: of all counted slates, of which the batch's are a part.
        temperature: of the likelihood, above 0; 1 is Bayes' rule.
    """
    starts = len(values.start) // len(batch)
    slates, click, counts = (
        part.repeat(starts, *[1] * (part.ndim - 1)) for part in (batch.slates, batch.click, batch.counts)
    )
    weights = model.log_weight(values, slates, click, counts, temperature).view(starts, -1)
    users = weights.logsumexp(0) - math.log(starts)
    shown = batch.slates[batch.counts]
    items, times = shown[shown >= 0].unique(return_counts=True)
    return negative_elbo_share(
        users,
        model.items.kl(items),
        times / exposure.occurrences[items],
        model.shared_kl(),
        int(batch.counts.sum()) / exposure.impressions,
    )
