"""Teacher-forced log-probabilities of given items over what each request allows."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.decode.legal import LegalSet, log1mexp, require_mass, require_numbers
from recsys.decode.legal_mass import legal_mass
from recsys.models.generators.generator import Generator
from recsys.types.context import Context
from recsys.types.slates import require_items

LARGEST_SUBTRACTED = math.log(0.9)
"""Log of the excluded probability up to which `1 −` it keeps its digits; beyond, what is left is summed."""

BLOCK = 256
"""Requests scored at a time, those that list about as many items together: lists are padded to the longest."""


def score(
    network: Generator[Any, Any], memory: Any, context: Context, items: Int[Tensor, "B G"]
) -> Float[Tensor, "B G L"]:
    """Log-probability (nats) of each code of each item, over the request's legal set. Carries gradient.

    `log π(y) − log(1 − Σ_{e excluded} π(e))`: the codes are normalised over their siblings in the trie, and the legal
    set's correction sits on the last one, so the last may exceed 0; the sum over codes does not. Items and excluded
    items are scored in one pass over one encoding of the history, `BLOCK` requests at a time.

    Args:
        network: what generates.
        memory: of the `B` requests.
        context: the requests; only their legal sets are read.
        items: `[B, G]`, in any order, repeats allowed. −inf on the last code where the request does not allow the item
            and where there is none (−1).

    Raises:
        EmptyLegalSetError: a request allows no item, or none with a probability above 0.
        NonFiniteError: a logit on the way is NaN or +inf.
        RequestError: an index is outside `−1 .. N − 1`.
    """
    require_items(items, network.trie.num_items)
    legal = LegalSet.of(network.trie, context)
    if len(legal) <= BLOCK:
        return score_legal(network, memory, legal, items)
    order = legal.leaves.lengths.argsort(stable=True)
    blocks = [
        score_legal(network, network.select(memory, rows), legal.select(rows), items[rows])
        for rows in order.split(BLOCK)
    ]
    return torch.cat(blocks)[order.argsort()]


def score_legal(
    network: Generator[Any, Any], memory: Any, legal: LegalSet, items: Int[Tensor, "B G"]
) -> Float[Tensor, "B G L"]:
    """`score` over legal sets that are known, all requests at a time."""
    listed, exists = legal.padded_items()
    tokens = network.path_log_prob(memory, torch.cat([items.clamp(min=0), listed], 1))
    tokens, of_listed = tokens.split([items.shape[1], listed.shape[1]], 1)
    log_mass = log_legal_mass(network, memory, legal, of_listed.sum(-1).masked_fill(~exists, float("-inf")))
    require_mass(log_mass)
    require_numbers(tokens)
    last = (tokens[..., -1] - log_mass.unsqueeze(1)).masked_fill(~legal.contains(items), float("-inf"))
    return torch.cat([tokens[..., :-1], last.unsqueeze(-1)], -1)


def log_legal_mass(
    network: Generator[Any, Any], memory: Any, legal: LegalSet, listed: Float[Tensor, "B E"] | None = None
) -> Float[Tensor, " B"]:
    """`[B]`, nats: log-probability that an item drawn from the whole catalogue is legal.

    One minus the excluded probability where that keeps its digits; the requests where it would not are summed up
    subtree by subtree (`legal_mass`).

    Args:
        network: what generates.
        memory: of the `B` requests.
        legal: what the requests allow.
        listed: log-probability over the whole catalogue of each of `legal.padded_items()`, −inf in the padding;
            computed here unless given.
    """
    if legal.leaves.values.numel() == 0:
        return torch.zeros(len(legal), device=legal.leaves.values.device)
    if listed is None:
        items, exists = legal.padded_items()
        listed = network.path_log_prob(memory, items).sum(-1).masked_fill(~exists, float("-inf"))
    listed_mass = listed.logsumexp(-1)
    if legal.inclusive:
        return listed_mass
    left = log1mexp(listed_mass.clamp(max=LARGEST_SUBTRACTED))
    rows = (listed_mass > LARGEST_SUBTRACTED).nonzero().squeeze(-1)
    if rows.numel() == 0:
        return left
    exact = legal_mass(network, network.select(memory, rows), legal.select(rows)).total
    return left.index_copy(0, rows, exact)
