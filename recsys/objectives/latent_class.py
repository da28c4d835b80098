"""The likelihood of users' choices, when all choices of a session share one intent that nobody sees."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recsys.decode.legal import log_sum_exp


def conditional_log_prob(
    scores: Float[Tensor, "*R S"], shown: Bool[Tensor, "*R S"], chosen: Bool[Tensor, "*R S"]
) -> Float[Tensor, " *R"]:
    """Return `Σ_{chosen i} (u_i − log Σ_{shown j} e^{u_j})`, nats: which items were chosen, given how many were.

    0 for a slate of which nothing was chosen: how readily users choose at all is no part of it, so that it cannot pass
    for an intent. Source: McFadden 1974, "Conditional logit analysis of qualitative choice behavior".

    Args:
        scores: `u`, of each slot; not read where nothing is shown.
        shown: true where the slot shows an item.
        chosen: true where the user chose it; false wherever nothing is shown.
    """
    present = scores.masked_fill(~shown, float("-inf"))
    odds = (present - log_sum_exp(present).unsqueeze(-1)).masked_fill(~chosen, 0.0)
    return odds.sum(-1)


def session_log_likelihood(
    log_prob: Float[Tensor, "T B K"], belief: Float[Tensor, "T B K"], begins: Bool[Tensor, "T B"]
) -> Float[Tensor, ""]:
    """Return `Σ_sessions log Σ_k p(k) Π_t p(choice_t | k)`, nats: a latent-class choice model of whole sessions.

    Steps before the first session of a user that begins are left out: what its intent was believed to be is not known.

    Source: Kamakura and Russell 1989, "A probabilistic choice model for market segmentation and elasticity structure",
    with the share of a class from what is known of the user (Gupta and Chintagunta 1994) and the session as the unit.

    Args:
        log_prob: of what was chosen in each step under each of `K` intents; 0 where a step does not count.
        belief: `log p(k)` in each step; read where a session begins.
        begins: true where a session begins.

    >>> half = torch.tensor(0.5).log()
    >>> choices = torch.tensor([[[0.9, 0.2]], [[0.9, 0.2]]]).log()  # two steps of one user under two intents
    >>> begins = torch.tensor([[True], [False]])
    >>> session_log_likelihood(choices, half.expand(2, 1, 2), begins).exp()  # (.81 + .04) / 2
    tensor(0.4250)
    """
    steps, users, intents = log_prob.shape
    number = begins.long().cumsum(0)
    cell = (number * users + torch.arange(users, device=number.device)).flatten()
    every = log_prob.new_zeros((steps + 1) * users, intents).index_add(0, cell, log_prob.flatten(0, 1))
    first = begins.flatten()
    return (every[cell[first]] + belief[begins]).logsumexp(-1).sum()
