"""The evidence lower bound of a model that is trained on a part of the data at a time."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


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
