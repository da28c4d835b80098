"""The policy of a generator that reads the items of earlier slots, so that slots depend on each other."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from recsys.decode.normalisation import CONDITIONAL, Normalisation
from recsys.decode.slate_search import SlateSearch, search_slates
from recsys.decode.slates import sample_slates, score_slates
from recsys.models.generators.generator import Generator
from recsys.policies.network_policy import NetworkPolicy
from recsys.types.context import Context
from recsys.types.slates import SamplingMethod, Slates


class AutoregressiveSlatePolicy(NetworkPolicy):
    """A generator as a distribution over slates: `π(slate) = Π_s π(y_s | history, y_1 … y_{s−1})`.

    Every factor is a distribution over the legal items that no earlier slot holds. `Generator.extend` feeds the items
    of earlier slots to the network. It is no `ItemPolicy`, because its slates do not follow from one distribution over
    items. A slot's factor is made by a normalisation, which is trained on, sampled, searched and scored alike: that of
    the catalogue given the eligible items, with which the policy of one slot equals `GenerativePolicy`; or step by step
    along the codes, which costs nothing for what a request excludes (`recsys.decode.normalisation`).

    Source: session-wise generation, Deng et al. 2025 (OneRec, arXiv 2502.18965), §3.2.

    Args:
        network: the generator.
        beams: least width of a search.
        search: search for the best slates: `search_slates`, or `greedy_slates` for one slate for each first item.
        normalisation: `Conditional` or `StepByStep` of `recsys.decode.normalisation`.
    """

    def __init__(
        self,
        network: Generator[Any, Any],
        beams: int = 16,
        search: SlateSearch = search_slates,
        normalisation: Normalisation = CONDITIONAL,
    ) -> None:
        super().__init__(network, beams)
        self.search = search
        self.normalisation = normalisation

    @override
    def top_from(self, memory: Any, context: Context, k: int, slots: int = 1) -> Slates:
        items, codes = self.search(
            self.network, memory, context, k, slots, self.beams, self.network.extend, self.normalisation
        )
        return Slates(items, codes.sum(-1), SamplingMethod.TOP)

    @override
    def sample_from(
        self, memory: Any, context: Context, candidates: int, slots: int, generator: torch.Generator
    ) -> Slates:
        items, codes = sample_slates(self.network, memory, context, candidates, slots, generator, self.normalisation)
        return Slates(items, codes.sum(-1), SamplingMethod.SAMPLE)

    @override
    def _codes_from(self, memory: Any, context: Context, items: Int[Tensor, "B G S"]) -> Float[Tensor, "B G S L"]:
        return score_slates(self.network, memory, context, items, self.normalisation)
