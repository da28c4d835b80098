"""Policies of a generator whose slots share one encoding: over the legal set, and unmasked as in released code."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from recsys.decode.beam import beam_search, unmasked_beam_search, unmasked_score
from recsys.decode.eligible import possible_slots
from recsys.decode.legal import LegalSet
from recsys.decode.sampling import sample, stochastic_beam_search
from recsys.decode.score import score
from recsys.decode.slate_search import search_slates
from recsys.errors import ConfigurationError
from recsys.policies.network_policy import NetworkPolicy, of_one_slot
from recsys.policies.policy import ItemPolicy
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from recsys.types.slates import SamplingMethod, Slates


class GenerativePolicy(NetworkPolicy, ItemPolicy):
    """A generator as a distribution over items, from which slates fill their slots in order (Plackett–Luce).

    Items of earlier slots are excluded from later ones, and have no other influence; `AutoregressiveSlatePolicy` feeds
    them to the network. Arguments are those of `NetworkPolicy`.
    """

    @override
    def top_from(self, memory: Any, context: Context, k: int, slots: int = 1) -> Slates:
        if slots == 1:
            items, log_prob = beam_search(self.network, memory, context, max(k, self.beams))
            return of_one_slot(items[:, :k], log_prob[:, :k], SamplingMethod.TOP)
        items, codes = search_slates(self.network, memory, context, k, slots, self.beams, lambda known, *_: known)
        return Slates(items, codes.sum(-1), SamplingMethod.TOP)

    @override
    def sample_from(
        self, memory: Any, context: Context, candidates: int, slots: int, generator: torch.Generator
    ) -> Slates:
        # A slate of several slots is a stochastic beam: items drawn without replacement come in Plackett–Luce order.
        if slots == 1:
            items, log_prob = sample(self.network, memory, context, candidates, generator)
            return of_one_slot(items, log_prob, SamplingMethod.SAMPLE)
        rows = torch.arange(len(context), device=context.users.device).repeat_interleave(candidates)
        repeated, asked = self.network.select(memory, rows), _legal_part(context, rows)
        items, _, _ = stochastic_beam_search(self.network, repeated, asked, slots, generator)
        items = items.unflatten(0, (len(context), candidates))
        with torch.no_grad():
            return Slates(items, self._codes_from(memory, context, items).sum(-1), SamplingMethod.SAMPLE)

    @override
    def _codes_from(self, memory: Any, context: Context, items: Int[Tensor, "B G S"]) -> Float[Tensor, "B G S L"]:
        # Each slot is scored as the only slot of a request that excludes the items of earlier slots too.
        slots = items.shape[-1]
        if slots == 1:
            return score(self.network, memory, context, items.squeeze(-1)).unsqueeze(2)
        possible = possible_slots(LegalSet.of(self.network.trie, context), items)
        request, candidate, slot = possible.nonzero().unbind(1)
        earlier = torch.arange(slots, device=items.device) < slot.unsqueeze(1)
        placed = Jagged.from_lengths(items[request, candidate][earlier], slot)
        asked = _legal_part(context, request)
        asked = replace(asked, excluded=asked.excluded.append(placed))
        own = items[request, candidate, slot].unsqueeze(1)
        found = score(self.network, self.network.select(memory, request), asked, own).squeeze(1)
        nothing = found.new_full((*items.shape, self.network.trie.depth), float("-inf"))
        return nothing.index_put((request, candidate, slot), found)


def _legal_part(context: Context, rows: Int[Tensor, " R"]) -> Context:
    """Return the legal sets of the given requests. Histories are left out: they are encoded already."""
    nothing = Jagged.empty(len(context), context.users.device)
    return Context(context.users, nothing, context.excluded, candidates=context.candidates).select(rows)


class UnmaskedPolicy(GenerativePolicy):
    """A generator that is trained without the mask of the trie and searched with it, as in released code.

    It reproduces published training and measures its defect. `top_from` and `log_prob_from` use the softmax over the
    whole vocabulary. Over the legal set `Σ exp log_prob < 1` then, by a share that differs between requests. Other
    methods are those of `GenerativePolicy`.

    Source: released code of Tan et al. 2025 (ReRe) and Kong et al. 2025 (MiniOneRec), `LogitProcessor.py`.

    Args:
        network: the generator, with the method `vocabulary_logits`.
        beams: least width of a search.
    """

    @override
    def top_from(self, memory: Any, context: Context, k: int, slots: int = 1) -> Slates:
        """Return the `k` best legal items by beam search under the published score.

        Raises:
            ConfigurationError: more than one slot is asked for, which released code does not have.
        """
        if slots != 1:
            raise ConfigurationError(
                f"UnmaskedPolicy ranks single items, found slots={slots}. Use GenerativePolicy for slates"
            )
        items, log_prob = unmasked_beam_search(self.network, memory, context, max(k, self.beams))
        return of_one_slot(items[:, :k], log_prob[:, :k], SamplingMethod.TOP)

    @override
    def log_prob_from(self, memory: Any, context: Context, items: Int[Tensor, "B G S"]) -> Float[Tensor, "B G S L"]:
        """Return the log-probability, in nats, of each code over the whole vocabulary; legal sets are not used."""
        return unmasked_score(self.network, memory, items.flatten(1)).unflatten(1, items.shape[1:])
