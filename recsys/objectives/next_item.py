"""Likelihood of the logged next item: what supervised fine-tuning minimises."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from recsys.data.context import Context
from recsys.decode.score import score
from recsys.models.generator import Generator


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
