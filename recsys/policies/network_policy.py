"""What the policies of a generator share: requests are encoded once, everything else starts from what that leaves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.decode.sampling import stochastic_beam_search
from recsys.models.generators.generator import Generator
from recsys.policies.policy import over_legal_set
from recsys.types.context import Context
from recsys.types.slates import SamplingMethod, Slates


class NetworkPolicy(nn.Module, ABC):
    """A network's distribution over each request's legal set: trained, sampled, searched and scored as one.

    Methods that end in `_from` start from encoded histories, so that a trainer encodes a sequence once for all its
    prefixes, its rollouts and their scores. Rollouts carry no gradient; `log_prob_from` and `catalogue_log_prob_from`
    do. Subclasses say what a slot knows of the slots before it.

    Args:
        network: what generates.
        beams: least width of a search (`top`); a search for more items is as wide as their number. With as many beams
            as the catalogue has items the search is exact.
    """

    def __init__(self, network: Generator[Any, Any], beams: int = 16) -> None:
        super().__init__()
        self.network = network
        self.beams = beams

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        """Draw `G = candidates` independent slates of `S = slots` distinct items for each request.

        Where fewer than `S` items are legal, the last slots hold item −1 with log-probability −inf.
        """
        return self.sample_from(self.network.encode(context), context, candidates, slots, generator)

    def log_prob(self, context: Context, slates: Slates) -> Float[Tensor, "B G S"]:
        """Return the log-probability (nats) of each slot given the slots before it, over what the request allows there.

        −inf from the first slot on that holds no item, an item outside the legal set or one that an earlier slot holds.
        """
        return self._codes_from(self.network.encode(context), context, slates.items).sum(-1)

    def top(self, context: Context, k: int, slots: int = 1) -> Slates:
        """Return the `k` best slates that a search finds, falling; −1 and −inf where there are fewer."""
        return self.top_from(self.network.encode(context), context, k, slots)

    def catalogue_log_prob(self, context: Context) -> Float[Tensor, "B N"]:
        """Return the log-probability (nats) of every item as a request's only slot; −inf outside the legal set."""
        return self.catalogue_log_prob_from(self.network.encode(context), context)

    @abstractmethod
    def sample_from(
        self, memory: Any, context: Context, candidates: int, slots: int, generator: torch.Generator
    ) -> Slates:
        """`sample` of encoded requests."""

    @abstractmethod
    def top_from(self, memory: Any, context: Context, k: int, slots: int = 1) -> Slates:
        """`top` of encoded requests."""

    def sample_without_replacement_from(
        self, memory: Any, context: Context, candidates: int, generator: torch.Generator
    ) -> Slates:
        """Draw `G = candidates` distinct items a request, without replacement, with their inclusion probabilities."""
        items, log_prob, inclusion = stochastic_beam_search(self.network, memory, context, candidates, generator)
        return of_one_slot(items, log_prob, SamplingMethod.WITHOUT_REPLACEMENT, inclusion)

    def log_prob_from(self, memory: Any, context: Context, items: Int[Tensor, "B G S"]) -> Float[Tensor, "B G S L"]:
        """Return the log-probability (nats) of each code of each slot given the slots before it.

        The sum over codes is `log_prob`. The correction for the legal set sits on a slot's last code, see
        `recsys.decode.score`.

        Args:
            memory: of the `B` requests.
            context: the requests; only their legal sets are read.
            items: `[B, G, S]`; a single item is `S = 1`. The last code of every slot is −inf from the first slot on
                that holds no item (−1), an item outside the legal set or one that an earlier slot holds.
        """
        return self._codes_from(memory, context, items)

    def catalogue_log_prob_from(self, memory: Any, context: Context) -> Float[Tensor, "B N"]:
        """`catalogue_log_prob` of encoded requests."""
        return over_legal_set(self.network.catalogue_log_prob(memory), context)

    @abstractmethod
    def _codes_from(self, memory: Any, context: Context, items: Int[Tensor, "B G S"]) -> Float[Tensor, "B G S L"]:
        """`log_prob_from` over the legal set, whatever a subclass makes of `log_prob_from`."""


def of_one_slot(
    items: Int[Tensor, "B G"],
    log_prob: Float[Tensor, "B G L"],
    sampling_method: SamplingMethod,
    inclusion: Tensor | None = None,
) -> Slates:
    """Return slates of one item each; their log-probability is the sum over the item's codes."""
    return Slates(items.unsqueeze(-1), log_prob.sum(-1, keepdim=True), sampling_method, inclusion)
