"""A generating network ranked exactly, item by item."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from recsys.data.context import Context
from recsys.models.generator import Generator
from recsys.policies.policy import ItemPolicy, over_legal_set


class NetworkPolicy(ItemPolicy):
    """The distribution of `GenerativePolicy`, drawn from and ranked over all items instead of searched code by code.

    Exact and simple; costs `B × N`. The way to rank a SASRec, whose scores are over the whole catalogue anyway, and to
    see what a beam search loses.

    Args:
        network: what scores the catalogue; its parameters become the policy's.
    """

    def __init__(self, network: Generator[Any, Any]) -> None:
        super().__init__()
        self.network = network

    def catalogue_log_prob(self, context: Context) -> Float[Tensor, "B N"]:
        """Log-probability (nats) of every item; −inf outside the legal set."""
        return over_legal_set(self.network.catalogue_log_prob(self.network.encode(context)), context)
