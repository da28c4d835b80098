"""The base of policies of a generator: requests are encoded once, and all methods start from the encoding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from recsys.decode.normalisation import CONDITIONAL, Normalisation
from recsys.decode.sampling import stochastic_beam_search
from recsys.models.generators.generator import Generator
from recsys.policies.policy import Policy
from recsys.ranges import at_least
from recsys.types.context import Context
from recsys.types.slates import SamplingMethod, Slates


class NetworkPolicy(nn.Module, Policy, ABC):
    """A generator as a distribution over the legal set of each request, which is trained, sampled, searched and scored.

    Methods that end in `_from` start from encoded histories: a trainer encodes a sequence once for all its prefixes,
    rollouts and scores. Samples have no gradient; `log_prob_from` and `catalogue_log_prob_from` have. Subclasses define
    how a slot depends on the earlier slots.

    A policy answers in the mode of its network: in training mode dropout makes two answers differ, as the score of a
    training step needs. `fit`, `recsys.train` and `recsys.load` leave networks in evaluation mode; call `eval()` on a
    network of one's own.

    Args:
        network: the generator.
        beams: least width of a search (`top`), at least 1. A search for more items is as wide as their number. With as
            many beams as the catalogue has items, the search is exact.
    """

    normalisation: Normalisation = CONDITIONAL
    """Makes the distribution over the legal set."""

    def __init__(self, network: Generator[Any, Any], beams: int = 16) -> None:
        at_least(1, beams=beams)
        super().__init__()
        self.network = network
        self.beams = beams

    @override
    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        if not len(context):
            return _no_slates(context, candidates, slots, SamplingMethod.SAMPLE)
        return self.sample_from(self._encoded(context), context, candidates, slots, generator)

    @override
    def log_prob(self, context: Context, slates: Slates) -> Float[Tensor, "B G S"]:
        if not len(context):
            return torch.zeros(slates.items.shape, device=context.users.device)
        slates.check(self.network.trie.num_items)
        return self._codes_from(self._encoded(context), context, slates.items).sum(-1)

    def top(self, context: Context, k: int, slots: int = 1) -> Slates:
        """Return the `k` best slates that a search finds, best first.

        If there are fewer, the last slates hold item −1 with log-probability −inf.
        """
        if not len(context):
            return _no_slates(context, k, slots, SamplingMethod.TOP)
        return self.top_from(self._encoded(context), context, k, slots)

    def catalogue_log_prob(self, context: Context) -> Float[Tensor, "B N"]:
        """Return the log-probability, in nats, of every item as a slate of one slot; −inf outside the legal set."""
        if not len(context):
            return torch.zeros(0, self.network.trie.num_items, device=context.users.device)
        return self.catalogue_log_prob_from(self._encoded(context), context)

    def _encoded(self, context: Context) -> Any:
        """Return the encoding of requests, which hold items only."""
        context.check(self.network.trie.num_items)
        return self.network.encode(context)

    @abstractmethod
    def sample_from(
        self, memory: Any, context: Context, candidates: int, slots: int, generator: torch.Generator
    ) -> Slates:
        """Draw slates as `sample` does, for encoded requests."""

    @abstractmethod
    def top_from(self, memory: Any, context: Context, k: int, slots: int = 1) -> Slates:
        """Return the best slates as `top` does, for encoded requests."""

    def sample_without_replacement_from(
        self, memory: Any, context: Context, candidates: int, generator: torch.Generator
    ) -> Slates:
        """Draw `G = candidates` distinct items of each request without replacement, with inclusion probabilities."""
        items, log_prob, inclusion = stochastic_beam_search(
            self.network, memory, context, candidates, generator, self.normalisation
        )
        return of_one_slot(items, log_prob, SamplingMethod.WITHOUT_REPLACEMENT, inclusion)

    def log_prob_from(self, memory: Any, context: Context, items: Int[Tensor, "B G S"]) -> Float[Tensor, "B G S L"]:
        """Return the log-probability, in nats, of each code of each slot given the earlier slots.

        The sum over codes is `log_prob`. By the conditional normalisation, the last code of a slot includes the
        correction for the legal set; see `recsys.decode.score`. From the first impossible slot on, the last code has
        −inf: a slot without an item (−1), with an item outside the legal set, or with an item of an earlier slot.

        Args:
            memory: encoding of the `B` requests.
            context: the requests; only their legal sets are read.
            items: `[B, G, S]`, items of the slates; a single item is `S = 1`.
        """
        return self._codes_from(memory, context, items)

    def catalogue_log_prob_from(self, memory: Any, context: Context) -> Float[Tensor, "B N"]:
        """Return `catalogue_log_prob` of encoded requests."""
        return self.normalisation.catalogue(self.network.catalogue_log_prob(memory), self.network.trie, context)

    @abstractmethod
    def _codes_from(self, memory: Any, context: Context, items: Int[Tensor, "B G S"]) -> Float[Tensor, "B G S L"]:
        """Return `log_prob_from` over the legal set, even if a subclass overrides `log_prob_from`."""


def of_one_slot(
    items: Int[Tensor, "B G"],
    log_prob: Float[Tensor, "B G L"],
    sampling_method: SamplingMethod,
    inclusion: Tensor | None = None,
) -> Slates:
    """Return slates of one item each. Their log-probability is the sum over the codes of the item."""
    return Slates(items.unsqueeze(-1), log_prob.sum(-1, keepdim=True), sampling_method, inclusion)


def _no_slates(context: Context, candidates: int, slots: int, sampling_method: SamplingMethod) -> Slates:
    """Return the answer to no requests, which networks cannot encode."""
    items = context.users.new_zeros(0, candidates, slots)
    return Slates(items, items.float(), sampling_method)
