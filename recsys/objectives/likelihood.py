"""Likelihood of the logged next item: over the catalogue, over the legal set, or beside a rollout."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.decode.normalisation import CONDITIONAL, Normalisation
from recsys.decode.slates import score_slates
from recsys.models.generators.generator import Generator
from recsys.objectives.group_terms import masked_mean
from recsys.objectives.objective import Loss, require_logged_log_prob
from recsys.types.example import Example
from recsys.types.rollout import Rollout


@runtime_checkable
class NextItemObjective(Protocol):
    """A loss of encoded requests with one logged answer each: an item, or a slate whose last slots may be empty."""

    def __call__(self, network: Generator[Any, Any], memory: Any, examples: Example) -> Float[Tensor, ""]:
        """Return the mean over the examples, in nats."""
        ...


def catalogue_cross_entropy(network: Generator[Any, Any], memory: Any, examples: Example) -> Float[Tensor, ""]:
    """Return `−mean log π(y)` over the whole catalogue, the usual next-item cross-entropy.

    For slates it is `−mean Σ_s log π(y_s | y_1 … y_{s−1})`, nats a slate, each slot over the whole catalogue:
    session-wise next-token prediction (OneRec, arXiv 2502.18965, equation 5).
    """
    items = examples.slates.items
    if items.shape[2] == 1:
        return -network.path_log_prob(memory, items.squeeze(2)).sum(-1).mean()
    return -_of_filled(network.slate_log_prob(memory, items.clamp(min=0)), items).mean()


def item_cross_entropy(network: Generator[Any, Any], memory: Any, examples: Example) -> Float[Tensor, ""]:
    """Return `−mean Σ_s log π(y_s)` over the whole catalogue: each logged item as the only item of an answer.

    Items of a slate do not see each other (the point-wise decoder of the OneRec Technical Report, arXiv 2506.13695).
    For single items it is `catalogue_cross_entropy`.
    """
    items = examples.slates.items
    return -_of_filled(network.path_log_prob(memory, items.squeeze(1).clamp(min=0)).unsqueeze(1), items).mean()


def legal_set_cross_entropy(
    network: Generator[Any, Any], memory: Any, examples: Example, *, normalisation: Normalisation = CONDITIONAL
) -> Float[Tensor, ""]:
    """Return `−mean [log π(y) − log(1 − Σ_{e excluded} π(e))]`: cross-entropy of the policy that will be served.

    Equal to `catalogue_cross_entropy` for single items where nothing is excluded. In a slate, a slot is renormalised
    over what the request allows and no earlier slot holds.

    Args:
        network: what generates.
        memory: of the requests.
        examples: the requests with their logged answers.
        normalisation: that of the policy that will be served; the formula is the conditional one's.
    """
    items = examples.slates.items
    scores = score_slates(network, memory, examples.context, items, normalisation)
    return -_of_filled(scores, items).mean()


def _of_filled(codes: Float[Tensor, "B 1 S L"], items: Int[Tensor, "B 1 S"]) -> Float[Tensor, "B 1"]:
    """Return the log-probability of each slate over its slots that hold an item; the others are at its end."""
    return codes.masked_fill((items < 0).unsqueeze(-1), 0.0).sum((-1, -2))


def cross_entropy(rollout: Rollout) -> Loss:
    """`−mean_p log π_θ(logged answer_p)`, nats a slate.

    Where `logged_log_prob` is renormalised over the request's legal set, as everything of a `Rollout` is, this is the
    legal-set cross-entropy: no probability is spent on what will never be shown. Requests whose answer lies outside
    their legal set (log-probability −inf) teach nothing and are left out; their share is `illegal_target_share`.

    Bias: none for its own purpose. As a policy gradient of the hit reward `1[y = target]` it is `∇π(t) / π(t)`: the
    exact direction, `1 / π(t)` times as long, so that rare targets weigh more (tests/oracles/test_objectives.py).

    Args:
        rollout: with the logged answers; rewards are not read.

    Raises:
        ConfigurationError: the rollout has no logged answers.
    """
    logged = require_logged_log_prob(rollout, "cross_entropy").flatten(1)
    legal = logged.isfinite().all(-1)
    log_prob = logged.masked_fill(~legal.unsqueeze(-1), 0.0).sum(-1)
    loss = -masked_mean(log_prob, legal)
    illegal = masked_mean((~legal).to(log_prob.dtype), torch.ones_like(legal))
    return Loss(loss, {"target_log_prob": -loss.detach(), "illegal_target_share": illegal})
