"""The evidence lower bound in minibatches, and that of the slate model."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.data.datasets.user_slates import Exposure, UserSlates
from recsys.models.slates.slate_model import SlateModel, SlateValues


def negative_elbo_share(
    log_likelihood: Float[Tensor, " n"],
    own_kl: Float[Tensor, " E"],
    own_share: Float[Tensor, " E"],
    shared_kl: Float[Tensor, ""],
    shared_share: float,
) -> Float[Tensor, ""]:
    """`−Σ log p(c) + Σ_e own_share_e · KL_e + shared_share · KL_shared`, nats.

    What a batch adds to the negative ELBO of all data: where the shares of each KL over the batches of an epoch sum to
    1, the epoch's values sum to `−Σ_all log p + Σ KL`, however the data is dealt out, and a batch drawn
    evenly is unbiased for its `1/batches`.

    Args:
        log_likelihood: of what is explained in the batch, under a draw of the posterior; or a lower bound of it.
        own_kl: of what only some answers depend on (items).
        own_share: of each of those, in [0, 1]: its answers in the batch among all of its answers.
        shared_kl: of what every answer depends on.
        shared_share: in [0, 1]: answers in the batch among all.

    Source: Hoffman et al. 2013, "Stochastic variational inference".

    >>> import torch
    >>> one = torch.ones(1)
    >>> negative_elbo_share(-2 * one, 3 * one, one / 2, torch.tensor(8.0), 0.25)  # 2 + 1.5 + 2
    tensor(5.5000)
    """
    return -log_likelihood.sum() + (own_share * own_kl).sum() + shared_share * shared_kl


def sample_initial_states(
    model: SlateModel, slates: Int[Tensor, "U T S"], initial_states: int, generator: torch.Generator
) -> SlateValues:
    """Return a sample of all latent variables for each user, with several samples of the initial state.

    Args:
        model: the slate model; samples are differentiable.
        slates: items of the slates, −1 at empty slots.
        initial_states: number of samples of each user's initial state, at least 1.
        generator: random generator on the device of the model.
    """
    first = model.draw(slates, generator)
    others = first.initial_noise.new_empty(initial_states - 1, *first.initial_noise.shape).normal_(generator=generator)
    return replace(first, initial_noise=torch.cat([first.initial_noise.unsqueeze(0), others]))


def slate_negative_elbo(
    model: SlateModel, values: SlateValues, batch: UserSlates, exposure: Exposure, temperature: float = 1.0
) -> Float[Tensor, ""]:
    """Return the batch's share of the negative bound at these values, in nats; an epoch's shares sum to the bound.

    A user's initial states are weighted by how well they explain the user's clicks (`SlateModel.log_weight`). An item's
    KL is divided evenly over the slots of the counted slates that show it, all other KL evenly over the counted slates
    (`negative_elbo_share`).

    Args:
        model: whose bound it is.
        values: of the users of the batch, with one initial state each or several.
        batch: whose slates they are.
        exposure: of all counted slates, of which the batch's are a part.
        temperature: of the likelihood, above 0; 1 is Bayes' rule.
    """
    weights = model.log_weight(values, batch.slates, batch.click, batch.loss_mask, temperature).view(-1, len(batch))
    users = weights.logsumexp(0) - math.log(len(weights))
    shown = batch.slates[batch.loss_mask]
    items, times = shown[shown >= 0].unique(return_counts=True)
    return negative_elbo_share(
        users,
        model.items.kl(items),
        times / exposure.occurrences[items],
        model.shared_kl(),
        int(batch.loss_mask.sum()) / exposure.impressions,
    )
