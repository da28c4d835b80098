"""The policies of a network that generates items code by code: over the legal set, and unmasked as published."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.decode.beam import beam_search, unmasked_beam_search, unmasked_score
from recsys.decode.legal import LegalSet
from recsys.decode.sampling import sample, stochastic_beam_search
from recsys.decode.score import score
from recsys.models.generators.generator import Generator
from recsys.policies.policy import ItemPolicy, over_legal_set
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from recsys.types.slates import SamplingMethod, Slates


class GenerativePolicy(ItemPolicy):
    """A network's distribution over each request's legal set: trained, sampled, searched and scored as one.

    Methods that end in `_from` start from encoded histories, so that a trainer encodes a sequence once for all its
    prefixes, its rollouts and their scores. Rollouts carry no gradient; `log_prob_from` and `catalogue_log_prob_from`
    do.

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
        """Log-probability (nats) of each slot given the slots before it, over what the request allows there.

        −inf from the first slot on that holds no item, an item outside the legal set or one that an earlier slot holds.
        """
        return self._codes_from(self.network.encode(context), context, slates.items).sum(-1)

    def top(self, context: Context, k: int) -> Slates:
        """The `k` best legal items by beam search as slates of one slot, falling; −1 and −inf where there are fewer."""
        return self.top_from(self.network.encode(context), context, k)

    def catalogue_log_prob(self, context: Context) -> Float[Tensor, "B N"]:
        """Log-probability (nats) of every item as a request's only slot; −inf outside the legal set; sums to 1."""
        return self.catalogue_log_prob_from(self.network.encode(context), context)

    def top_from(self, memory: Any, context: Context, k: int) -> Slates:
        """`top` of encoded requests."""
        items, log_prob = beam_search(self.network, memory, context, max(k, self.beams))
        return one_slot(items[:, :k], log_prob[:, :k], SamplingMethod.TOP)

    def sample_without_replacement_from(
        self, memory: Any, context: Context, candidates: int, generator: torch.Generator
    ) -> Slates:
        """`G = candidates` distinct items a request, without replacement, with their inclusion probabilities."""
        items, log_prob, inclusion = stochastic_beam_search(self.network, memory, context, candidates, generator)
        return one_slot(items, log_prob, SamplingMethod.WITHOUT_REPLACEMENT, inclusion)

    def sample_from(
        self, memory: Any, context: Context, candidates: int, slots: int, generator: torch.Generator
    ) -> Slates:
        """`sample` of encoded requests.

        A slate of several slots is a stochastic beam: the order of drawing without replacement is Plackett and Luce's.
        """
        if slots == 1:
            items, log_prob = sample(self.network, memory, context, candidates, generator)
            return one_slot(items, log_prob, SamplingMethod.SAMPLE)
        rows = torch.arange(len(context), device=context.users.device).repeat_interleave(candidates)
        repeated, asked = self.network.select(memory, rows), _legal_part(context, rows)
        items, _, _ = stochastic_beam_search(self.network, repeated, asked, slots, generator)
        items = items.unflatten(0, (len(context), candidates))
        with torch.no_grad():
            return Slates(items, self._codes_from(memory, context, items).sum(-1), SamplingMethod.SAMPLE)

    def log_prob_from(self, memory: Any, context: Context, items: Int[Tensor, "B G S"]) -> Float[Tensor, "B G S L"]:
        """Log-probability (nats) of each code of each slot given the slots before it; the sum over codes is `log_prob`.

        The correction for the legal set sits on a slot's last code, see `recsys.decode.score`.

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

    def _codes_from(self, memory: Any, context: Context, items: Int[Tensor, "B G S"]) -> Float[Tensor, "B G S L"]:
        """Each slot scored as an only slot whose request excludes the earlier ones too."""
        slots = items.shape[-1]
        if slots == 1:
            return score(self.network, memory, context, items.squeeze(-1)).unsqueeze(2)
        request, candidate, slot = self._possible(context, items).nonzero().unbind(1)
        earlier = torch.arange(slots, device=items.device) < slot.unsqueeze(1)
        placed = Jagged.from_lengths(items[request, candidate][earlier], slot)
        asked = _legal_part(context, request)
        asked = replace(asked, excluded=asked.excluded.append(placed))
        own = items[request, candidate, slot].unsqueeze(1)
        found = score(self.network, self.network.select(memory, request), asked, own).squeeze(1)
        nothing = found.new_full((*items.shape, self.network.trie.depth), float("-inf"))
        return nothing.index_put((request, candidate, slot), found)

    def _possible(self, context: Context, items: Int[Tensor, "B G S"]) -> Bool[Tensor, "B G S"]:
        """True up to the first slot that the slots before it and the request leave no probability."""
        legal = LegalSet.of(self.network.trie, context).contains(items.flatten(1)).view(items.shape)
        repeated = (items.unsqueeze(-1) == items.unsqueeze(-2)).tril(-1).any(-1)
        return (legal & ~repeated).cumprod(-1).bool()


def _legal_part(context: Context, rows: Int[Tensor, " R"]) -> Context:
    """What the named requests allow, without what they had before: histories are encoded already."""
    nothing = Jagged.empty(len(context), context.users.device)
    return Context(context.users, nothing, context.excluded, candidates=context.candidates).select(rows)


def one_slot(
    items: Int[Tensor, "B G"],
    log_prob: Float[Tensor, "B G L"],
    sampling: SamplingMethod,
    inclusion: Tensor | None = None,
) -> Slates:
    """Slates of one item each; their log-probability is the sum over the item's codes."""
    return Slates(items.unsqueeze(-1), log_prob.sum(-1, keepdim=True), sampling, inclusion)


class UnmaskedPolicy(GenerativePolicy):
    """Searched under the trie's mask, trained without it: to reproduce published training, and to measure its defect.

    `top_from` and `log_prob_from` speak of the softmax over the whole vocabulary, which breaks the policy's law: over
    the legal set `Σ exp log_prob < 1`, by another share for every request. Everything else is `GenerativePolicy`'s.
    Source: released code of Tan et al. 2025 (ReRe) and Kong et al. 2025 (MiniOneRec), `LogitProcessor.py`.

    Args:
        network: what generates; it must have `vocabulary_logits`.
        beams: least width of a search.
    """

    def top_from(self, memory: Any, context: Context, k: int) -> Slates:
        """The `k` best legal items by beam search under the published score."""
        items, log_prob = unmasked_beam_search(self.network, memory, context, max(k, self.beams))
        return one_slot(items[:, :k], log_prob[:, :k], SamplingMethod.TOP)

    def log_prob_from(self, memory: Any, context: Context, items: Int[Tensor, "B G S"]) -> Float[Tensor, "B G S L"]:
        """Log-probability (nats) of each code over the whole vocabulary; what a request excludes changes nothing."""
        return unmasked_score(self.network, memory, items.flatten(1)).unflatten(1, items.shape[1:])
