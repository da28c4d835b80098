"""Slates of a generator, slot after slot behind the items placed so far: sampling, and scores of given slates."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.decode.legal import LegalSet
from recsys.decode.sampling import sample_legal
from recsys.decode.score import BLOCK, score_legal
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

    Returns:
        The items, −1 in the slots for which no item is left; and the log-probability (nats) of each code, equal to
        `score_slates`'.

    Raises:
        EmptyLegalSetError: a request allows no item, or a slot has none left with a probability above 0.
        NonFiniteError: a logit on the way is NaN or +inf.
    """
    legal = LegalSet.of(network.trie, context)
    counts = legal.counts.unsqueeze(1)
    items, codes = sample_legal(network, memory, legal, candidates, generator)
    slates, scores = [items], [codes]
    if slots > 1:
        memory, legal = _for_each_slate(network, memory, legal, candidates)
    for slot in range(1, slots):
        memory, legal = place(network, memory, legal, slates[-1].flatten())
        items, codes = sample_legal(network, memory, legal, 1, generator)
        missing = (counts <= slot).expand(-1, candidates)
        slates.append(items.view(missing.shape).masked_fill(missing, -1))
        scores.append(impossible_where(missing, codes.view(*missing.shape, -1)))
    return torch.stack(slates, 2), torch.stack(scores, 2)


def score_slates(
    network: Generator[Any, Any], memory: Any, context: Context, items: Int[Tensor, "B G S"]
) -> Float[Tensor, "B G S L"]:
    """Return the log-probability (nats) of each code of each slot, given the slots before it. Carries gradient.

    The codes of a slot are normalised over their siblings in the trie; the correction for what the request allows and
    no earlier slot holds sits on the last one, see `recsys.decode.score.score`. A history is encoded once, and a placed
    item once a slate.

    Args:
        network: what generates.
        memory: of the `B` requests.
        context: the requests; only their legal sets are read.
        items: `[B, G, S]`. The last code is −inf from the first slot on that holds no item (−1), an item outside the
            legal set or one that an earlier slot holds; what the other codes say there has no meaning.

    Raises:
        EmptyLegalSetError: a request allows no item, or a slot has none left with a probability above 0.
        NonFiniteError: a logit on the way is NaN or +inf.
        RequestError: an index is outside `−1 .. N − 1`.
    """
    require_items(items, network.trie.num_items)
    legal = LegalSet.of(network.trie, context)
    requests, candidates, _ = items.shape
    if requests * candidates <= BLOCK:
        return _score_block(network, memory, legal, items)
    order = legal.leaves.lengths.argsort(stable=True)
    blocks = [
        _score_block(network, network.select(memory, rows), legal.select(rows), items[rows])
        for rows in order.split(max(1, BLOCK // candidates))
    ]
    return torch.cat(blocks)[order.argsort()]


def possible_slots(legal: LegalSet, items: Int[Tensor, "B G S"]) -> Bool[Tensor, "B G S"]:
    """Return where a slate has probability: true up to the first slot that holds no eligible item, or a placed one."""
    repeated = (items.unsqueeze(-1) == items.unsqueeze(-2)).tril(-1).any(-1)
    return (legal.contains(items.flatten(1)).view(items.shape) & ~repeated).cumprod(-1).bool()


def place(network: Generator[Any, Any], memory: Any, legal: LegalSet, items: Int[Tensor, " R"]) -> tuple[Any, LegalSet]:
    """Return memory and legal sets behind one placed item a row; −1 places some item and takes none away."""
    return network.extend(memory, items.clamp(min=0)), legal.without(items)


def impossible_where(missing: Bool[Tensor, "*slots"], codes: Float[Tensor, "*slots L"]) -> Float[Tensor, "*slots L"]:
    """Return the codes' log-probabilities with −inf on the last code of the slots that are missing."""
    last = torch.arange(codes.shape[-1], device=codes.device) == codes.shape[-1] - 1
    return codes.masked_fill(missing.unsqueeze(-1) & last, float("-inf"))


def _for_each_slate(
    network: Generator[Any, Any], memory: Any, legal: LegalSet, candidates: int
) -> tuple[Any, LegalSet]:
    """Memory and legal set of every request, `candidates` times side by side."""
    first = torch.zeros(len(legal), candidates, dtype=torch.int64, device=legal.leaves.values.device)
    rows = torch.arange(len(legal), device=first.device).repeat_interleave(candidates)
    return network.branch(memory, first), legal.select(rows)


def _score_block(
    network: Generator[Any, Any], memory: Any, legal: LegalSet, items: Int[Tensor, "B G S"]
) -> Float[Tensor, "B G S L"]:
    _, candidates, slots = items.shape
    possible = possible_slots(legal, items)
    placed = items.masked_fill(~possible, -1).flatten(0, 1)
    scores = [score_legal(network, memory, legal, items[:, :, 0])]
    if slots > 1:
        memory, legal = _for_each_slate(network, memory, legal, candidates)
    for slot in range(1, slots):
        memory, legal = place(network, memory, legal, placed[:, slot - 1])
        own = score_legal(network, memory, legal, items[:, :, slot].reshape(-1, 1))
        scores.append(own.view(scores[0].shape))
    return impossible_where(~possible, torch.stack(scores, 2))
