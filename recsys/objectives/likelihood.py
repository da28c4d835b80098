"""Likelihood of the logged next item: over the catalogue, over the legal set, or beside a group."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.decode.score import score
from recsys.models.generators.generator import Generator
from recsys.objectives.group_terms import masked_mean
from recsys.types.context import Context
from recsys.types.rollout import Group, Loss


@runtime_checkable
class NextItemObjective(Protocol):
    """A loss of encoded requests with logged targets."""

    def __call__(self, network: Generator[Any, Any], memory: Any, requests: Context) -> Float[Tensor, ""]:
        """Mean over the requests, in nats."""
        ...


def logged_item(requests: Context) -> Int[Tensor, "P 1"]:
    """`[P, 1]`, the logged next item of each request.

    Raises:
        ValueError: the requests carry no targets.
    """
    if requests.target is None:
        raise ValueError("requests without targets cannot be trained on: Context.target is None")
    return requests.target.unsqueeze(1)


def catalogue_cross_entropy(network: Generator[Any, Any], memory: Any, requests: Context) -> Float[Tensor, ""]:
    """`−mean log π(y)` over the whole catalogue, the usual next-item cross-entropy."""
    return -network.path_log_prob(memory, logged_item(requests)).sum(-1).mean()


def legal_set_cross_entropy(network: Generator[Any, Any], memory: Any, requests: Context) -> Float[Tensor, ""]:
    """`−mean [log π(y) − log(1 − Σ_{e excluded} π(e))]`: cross-entropy of the policy that will be served.

    Equal to `catalogue_cross_entropy` where nothing is excluded.
    """
    return -score(network, memory, requests, logged_item(requests)).sum(-1).mean()


def cross_entropy(group: Group) -> Loss:
    """`−mean_p log π_θ(target_p)`, nats an item.

    Where `target_log_prob` is renormalised over the request's legal set, as everything of a `Group` is, this is the
    legal-set cross-entropy: no probability is spent on what will never be shown. Requests whose target lies outside
    their legal set (log-probability −inf) teach nothing and are left out; their share is `illegal_target_share`.

    Bias: none for its own purpose. As a policy gradient of the hit reward `1[y = target]` it is `∇π(t) / π(t)`: the
    exact direction, `1 / π(t)` times as long, so that rare targets weigh more (tests/oracles/test_objectives.py).
    """
    legal = group.target_log_prob.isfinite().all(-1)
    log_prob = group.target_log_prob.masked_fill(~legal.unsqueeze(-1), 0.0).sum(-1)
    loss = -masked_mean(log_prob, legal)
    illegal = masked_mean((~legal).to(log_prob.dtype), torch.ones_like(legal))
    return Loss(loss, {"target_log_prob": -loss.detach(), "illegal_target_share": illegal})
