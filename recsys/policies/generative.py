"""The policies of a generator whose slots share one encoding: over the legal set, and unmasked as published."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from recsys.decode.beam import beam_search, unmasked_beam_search, unmasked_score
from recsys.decode.legal import LegalSet
from recsys.decode.sampling import sample, stochastic_beam_search
from recsys.decode.score import score
from recsys.decode.slate_search import search_slates
from recsys.decode.slates import possible_slots
from recsys.errors import ConfigurationError
from recsys.policies.network_policy import NetworkPolicy, of_one_slot
from recsys.policies.policy import ItemPolicy
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from recsys.types.slates import SamplingMethod, Slates


class GenerativePolicy(NetworkPolicy, ItemPolicy):
    """A generator's distribution over items; a slate fills its slots from it one after the other (Plackett and Luce).

    A slot knows of the items placed before it that they cannot come again, and no more. `AutoregressiveSlatePolicy`
    shows them to the network. Arguments as in `NetworkPolicy`.
    """

    @override
    def top_from(self, memory: Any, context: Context, k: int, slots: int = 1) -> Slates:
        if slots == 1:
            items, log_prob = beam_search(self.network, memory, context, max(k, self.beams))
            return of_one_slot(items[:, :k], log_prob[:, :k], SamplingMethod.TOP)
        items, codes = search_slates(self.network, memory, context, k, slots, self.beams, lambda known, _: known)
        return Slates(items, codes.sum(-1), SamplingMethod.TOP)

    @override
    def sample_from(
        self, memory: Any, context: Context, candidates: int, slots: int, generator: torch.Generator
    ) -> Slates:
        """`sample` of encoded requests.

        A slate of several slots is a stochastic beam: the order of drawing without replacement is Plackett and Luce's.
        """
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
        """Each slot scored as an only slot whose request excludes the earlier ones too."""
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
    """What the named requests allow, without what they had before: histories are encoded already."""
    nothing = Jagged.empty(len(context), context.users.device)
    return Context(context.users, nothing, context.excluded, candidates=context.candidates).select(rows)


class UnmaskedPolicy(GenerativePolicy):
    """Searched under the trie's mask, trained without it: to reproduce published training, and to measure its defect.

    `top_from` and `log_prob_from` speak of the softmax over the whole vocabulary, which breaks the policy's law: over
    the legal set `Σ exp log_prob < 1`, by another share for every request. Everything else is `GenerativePolicy`'s.
    Source: released code of Tan et al. 2025 (ReRe) and Kong et al. 2025 (MiniOneRec), `LogitProcessor.py`.

    Args:
        network: what generates; it must have `vocabulary_logits`.
        beams: least width of a search.
    """

    @override
    def top_from(self, memory: Any, context: Context, k: int, slots: int = 1) -> Slates:
        """Return the `k` best legal items by beam search under the published score.

        Raises:
            ConfigurationError: more than one slot is asked for, for which nothing is published.
        """
        if slots != 1:
            raise ConfigurationError(
                f"UnmaskedPolicy ranks single items, asked for slates of {slots}: GenerativePolicy"
            )
        items, log_prob = unmasked_beam_search(self.network, memory, context, max(k, self.beams))
        return of_one_slot(items[:, :k], log_prob[:, :k], SamplingMethod.TOP)

    @override
    def log_prob_from(self, memory: Any, context: Context, items: Int[Tensor, "B G S"]) -> Float[Tensor, "B G S L"]:
        """Log-probability (nats) of each code over the whole vocabulary; what a request excludes changes nothing."""
        return unmasked_score(self.network, memory, items.flatten(1)).unflatten(1, items.shape[1:])
