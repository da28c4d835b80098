"""How a generator's logits become a distribution over the items that a slot may hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from typing_extensions import override

from recsys.decode.catalogue import over_legal_set, over_live_children
from recsys.decode.eligible import Eligible, MaskedBranches, possible_slots
from recsys.decode.legal import LegalSet, require_mass, require_numbers
from recsys.decode.legal_mass import legal_mass
from recsys.decode.live_items import LiveItems
from recsys.decode.score import log_legal_mass, score_legal
from recsys.decode.subtree_mask import dead_branches
from recsys.items.trie import Trie
from recsys.models.generators.generator import Generator
from recsys.types.context import Context


@runtime_checkable
class Normalisation(Protocol):
    """Makes one distribution of a generator and a legal set, which is sampled, searched and scored.

    Over the ordered slates of distinct legal items it sums to 1. Where nothing is excluded or placed, every
    normalisation is the generator's own distribution over the catalogue (`Generator.path_log_prob`).
    """

    def eligible(self, legal: LegalSet) -> Eligible:
        """Return what a slot of each request may hold, to draw and to search."""
        ...

    def score(
        self, network: Generator[Any, Any], memory: Any, legal: LegalSet, items: Int[Tensor, "B G S"]
    ) -> Float[Tensor, "B G S L"]:
        """Return what `recsys.decode.slates.score_slates` does, all requests at a time."""
        ...

    def catalogue(self, log_prob: Float[Tensor, "B N"], trie: Trie, context: Context) -> Float[Tensor, "B N"]:
        """Return the log-probability (nats) of every item as the only one of a slate; −inf outside the legal set.

        Args:
            log_prob: of every item over the whole catalogue.
            trie: the catalogue.
            context: the requests.
        """
        ...


@dataclass(frozen=True)
class Conditional(Normalisation):
    """The generator's distribution over the catalogue, given that the item is eligible.

    `log π(y) = log p(y) − log Σ_{e eligible} p(e)`, `p` over the whole catalogue. Eligible items keep the odds that the
    generator gives them. The sum needs the probability of every item that is excluded, in every slot of every slate:
    with hundreds of excluded items it takes most of the time.
    """

    @override
    def eligible(self, legal: LegalSet) -> Eligible:
        return ConditionalItems(legal)

    @override
    def score(
        self, network: Generator[Any, Any], memory: Any, legal: LegalSet, items: Int[Tensor, "B G S"]
    ) -> Float[Tensor, "B G S L"]:
        # Slot after slot; the correction for what is eligible sits on the last code.
        _, candidates, slots = items.shape
        possible = possible_slots(legal, items)
        placed = items.masked_fill(~possible, -1).flatten(0, 1)
        scores = [score_legal(network, memory, legal, items[:, :, 0])]
        if slots > 1:
            beams = torch.zeros_like(items[:, :, 0])
            memory = network.branch(memory, beams)
            legal = legal.select(torch.arange(len(legal), device=items.device).repeat_interleave(candidates))
        for slot in range(1, slots):
            before = placed[:, slot - 1]
            memory, legal = network.extend(memory, before.clamp(min=0)), legal.without(before)
            own = score_legal(network, memory, legal, items[:, :, slot].reshape(-1, 1))
            scores.append(own.view(scores[0].shape))
        return impossible_where(~possible, torch.stack(scores, 2))

    @override
    def catalogue(self, log_prob: Float[Tensor, "B N"], trie: Trie, context: Context) -> Float[Tensor, "B N"]:
        found = over_legal_set(log_prob, context)
        best = found.argmax(-1, keepdim=True)
        require_mass((log_prob.gather(1, best) - found.gather(1, best)).squeeze(1))
        return found


@dataclass(frozen=True)
class StepByStep(Normalisation):
    """Every code over the children below which an eligible item is left: constrained decoding.

    `log π(y) = Σ_l log softmax over live children`, a child being live if the leaves below it hold an item that the
    request allows and no earlier slot holds. Nothing is read of the network but what the path passes, whatever is
    excluded. It equals `Conditional` where each code of the first level is excluded whole or not at all, as where
    nothing is excluded, and where the trie has one level. Elsewhere the two differ: what is left below a code inherits
    all of the code's probability. Of two codes with probability 1/2 and two equally likely items each, let one item be
    excluded. Given that, the three items have probability 1/3 each; step by step the one that is alone below its code
    has 1/2, the others 1/4.

    A node whose live children all have the logit −inf cannot be normalised and raises `NonFiniteError`.

    Source: decoding constrained to a trie, De Cao et al. 2021 (arXiv 2010.00904), with the legal set of each request as
    the trie. It is what decoders sample from that mask logits before the softmax.
    """

    @override
    def eligible(self, legal: LegalSet) -> Eligible:
        return LiveItems.of(legal)

    @override
    def score(
        self, network: Generator[Any, Any], memory: Any, legal: LegalSet, items: Int[Tensor, "B G S"]
    ) -> Float[Tensor, "B G S L"]:
        # All slots in one pass of the network, with memory for `B × G × S × C` counts a level.
        possible = possible_slots(legal, items)
        before = LiveItems.before_each_slot(legal, items.masked_fill(~possible, -1))
        items = items.clamp(min=0)
        nodes, siblings = torch.zeros_like(items), []
        for level, reached in enumerate(legal.trie.path(items).unbind(-1)):
            siblings.append(before.live_children(nodes.view(-1, 1), level).view(*items.shape, -1))
            nodes = reached
        codes = network.slate_log_prob(memory, items, siblings)
        require_numbers(codes)
        return impossible_where(~possible, codes)

    @override
    def catalogue(self, log_prob: Float[Tensor, "B N"], trie: Trie, context: Context) -> Float[Tensor, "B N"]:
        return over_live_children(log_prob, LegalSet.of(trie, context))


@dataclass(frozen=True)
class ConditionalItems(Eligible):
    """Legal sets whose walks are those of the conditional distribution.

    Args:
        legal: of the `R` rows, without what is placed.
    """

    legal: LegalSet

    @override
    def select(self, rows: Int[Tensor, " Q"]) -> ConditionalItems:
        return ConditionalItems(self.legal.select(rows))

    @override
    def without(self, items: Int[Tensor, " R"]) -> ConditionalItems:
        return ConditionalItems(self.legal.without(items))

    @override
    def to_draw(self, network: Generator[Any, Any], memory: Any) -> MaskedBranches:
        mass = legal_mass(network, memory, self.legal)
        return MaskedBranches(self.legal.trie, mass.total, mass.subtree_masks)

    @override
    def to_search(self, network: Generator[Any, Any], memory: Any) -> MaskedBranches:
        mass = log_legal_mass(network, memory, self.legal)
        return MaskedBranches(self.legal.trie, mass, dead_branches(self.legal))


def impossible_where(missing: Bool[Tensor, "*slots"], codes: Float[Tensor, "*slots L"]) -> Float[Tensor, "*slots L"]:
    """Return the codes' log-probabilities with −inf on the last code of the slots that are missing."""
    last = torch.arange(codes.shape[-1], device=codes.device) == codes.shape[-1] - 1
    return codes.masked_fill(missing.unsqueeze(-1) & last, float("-inf"))


CONDITIONAL = Conditional()
"""The normalisation of policies of single items."""
