"""Slates of a generator, slot after slot behind the items placed so far: sampling, and scores of given slates."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.decode.legal import LegalSet
from recsys.decode.normalisation import CONDITIONAL, Normalisation, impossible_where
from recsys.decode.sampling import sample_eligible
from recsys.decode.score import BLOCK
from recsys.models.generators.generator import Generator
from recsys.types.context import Context
from recsys.types.slates import require_items


@torch.no_grad()
def sample_slates(
    network: Generator[Any, Any],
    memory: Any,
    context: Context,
    candidates: int,
    slots: int,
    generator: torch.Generator,
    normalisation: Normalisation = CONDITIONAL,
) -> tuple[Int[Tensor, "B G S"], Float[Tensor, "B G S L"]]:
    """Draw `G = candidates` independent slates a request, each slot given the placed items and without them.

    `π(slate) = Π_s π(y_s | history, y_1 … y_{s−1})`, every factor over what the request allows and no earlier slot
    holds; `Generator.extend` is what a factor knows of the placed items. The first slot is drawn as `sample` draws.

    Args:
        network: what generates.
        memory: of the `B` requests.
        context: the requests; only their legal sets are read.
        candidates: `G`, at least 1; a slate may come twice.
        slots: `S`, at least 1.
        generator: randomness, on the device of the network.
        normalisation: makes the distribution of a slot.

    Returns:
        The items, −1 in the slots for which no item is left; and the log-probability (nats) of each code, equal to
        `score_slates`'.

    Raises:
        EmptyLegalSetError: a request allows no item, or a slot has none left with a probability above 0.
        NonFiniteError: a logit on the way is NaN or +inf.
    """
    legal = LegalSet.of(network.trie, context)
    counts, eligible = legal.counts.unsqueeze(1), normalisation.eligible(legal)
    drawn = sample_eligible(network, memory, eligible, candidates, generator)
    slates, scores = [drawn.items], [drawn.codes]
    if slots > 1:
        memory = network.branch(memory, torch.zeros_like(drawn.items))
        eligible = eligible.select(torch.arange(len(legal), device=drawn.items.device).repeat_interleave(candidates))
    for slot in range(1, slots):
        placed = slates[-1].flatten()
        memory = network.extend(memory, placed.clamp(min=0), drawn.rows_state(network))
        eligible = eligible.without(placed)
        drawn = sample_eligible(network, memory, eligible, 1, generator)
        missing = (counts <= slot).expand(-1, candidates)
        slates.append(drawn.items.view(missing.shape).masked_fill(missing, -1))
        scores.append(impossible_where(missing, drawn.codes.view(*missing.shape, -1)))
    return torch.stack(slates, 2), torch.stack(scores, 2)


def score_slates(
    network: Generator[Any, Any],
    memory: Any,
    context: Context,
    items: Int[Tensor, "B G S"],
    normalisation: Normalisation = CONDITIONAL,
) -> Float[Tensor, "B G S L"]:
    """Return the log-probability (nats) of each code of each slot, given the slots before it. Carries gradient.

    Conditionally, the codes of a slot are normalised over their siblings in the trie, and the correction for what the
    request allows and no earlier slot holds sits on the last one, see `recsys.decode.score.score`. Step by step, each
    code is normalised over the siblings that are live. A history is encoded once, and a placed item once a slate.

    Args:
        network: what generates.
        memory: of the `B` requests.
        context: the requests; only their legal sets are read.
        items: `[B, G, S]`. The last code is −inf from the first slot on that holds no item (−1), an item outside the
            legal set or one that an earlier slot holds; what the other codes say there has no meaning.
        normalisation: makes the distribution of a slot.

    Raises:
        EmptyLegalSetError: a request allows no item, or a slot has none left with a probability above 0.
        NonFiniteError: a logit on the way is NaN or +inf.
        RequestError: an index is outside `−1 .. N − 1`.
    """
    require_items(items, network.trie.num_items)
    legal = LegalSet.of(network.trie, context)
    requests, candidates, _ = items.shape
    if requests * candidates <= BLOCK:
        return normalisation.score(network, memory, legal, items)
    order = legal.leaves.lengths.argsort(stable=True)
    blocks = [
        normalisation.score(network, network.select(memory, rows), legal.select(rows), items[rows])
        for rows in order.split(max(1, BLOCK // candidates))
    ]
    return torch.cat(blocks)[order.argsort()]
