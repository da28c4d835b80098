"""The evidence lower bound of a slate model, a batch of users at a time."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.data.user_slates import Exposure, UserSlates
from recsys.models.slate_model import SlateModel, SlateValues
from recsys.objectives.elbo import negative_elbo_share


def draw_starts(
    model: SlateModel, slates: Int[Tensor, "U T S"], starts: int, generator: torch.Generator
) -> SlateValues:
    """Everything for each user once, but for `starts` starts.

    Args:
        model: what is drawn from, with gradient.
        slates: items, −1 in empty slots.
        starts: draws of each user's start, at least 1.
        generator: on the device of the model.
    """
    first = model.draw(slates, generator)
    others = first.start.new_empty(starts - 1, *first.start.shape).normal_(generator=generator)
    return replace(first, start=torch.cat([first.start.unsqueeze(0), others]))


def slate_negative_elbo(
    model: SlateModel, values: SlateValues, batch: UserSlates, exposure: Exposure, temperature: float = 1.0
) -> Float[Tensor, ""]:
    """The batch's share of the negative bound at these values; over the batches of an epoch they sum to it. Nats.

    A user's starts are weighed by how well they explain the user's clicks (`SlateModel.log_weight`). An item's KL is
    dealt out evenly over the slots of the counted slates that show it, all other KL evenly over the counted slates
    (`negative_elbo_share`).

    Args:
        model: whose bound it is.
        values: of the users of the batch, with one start or several.
        batch: whose slates they are.
        exposure: of all counted slates, of which the batch's are a part.
        temperature: of the likelihood, above 0; 1 is Bayes' rule.
    """
    weights = model.log_weight(values, batch.slates, batch.click, batch.counts, temperature).view(-1, len(batch))
    users = weights.logsumexp(0) - math.log(len(weights))
    shown = batch.slates[batch.counts]
    items, times = shown[shown >= 0].unique(return_counts=True)
    return negative_elbo_share(
        users,
        model.items.kl(items),
        times / exposure.occurrences[items],
        model.shared_kl(),
        int(batch.counts.sum()) / exposure.impressions,
    )
