"""Search and score as released ReRe and MiniOneRec code does: softmax over the whole vocabulary, the mask after it."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.data.context import Context
from recsys.decode.beam import search
from recsys.decode.legal import LegalSet
from recsys.decode.step import child_range, vocabulary_step
from recsys.models.generator import Generator


def published_beam_search(
    network: Generator[Any, Any], memory: Any, context: Context, beams: int
) -> tuple[Int[Tensor, "B M"], Float[Tensor, "B M L"]]:
    """`beam_search` ranked by `published_score`: legal items only, but no distribution over them.

    Raises:
        EmptyLegalSetError: a request allows no item.
        ConfigurationError: the network has no logits beyond the trie.
    """
    return search(network, memory, LegalSet.of(network.trie, context), beams, vocabulary_step)


def published_score(network: Generator[Any, Any], memory: Any, items: Int[Tensor, "B G"]) -> Float[Tensor, "B G L"]:
    """Log-probability (nats) of each code of each item over the whole vocabulary. Carries gradient.

    Sums to less than 1 over the catalogue, and raises an item by lowering codes that lead nowhere. −inf where there is
    no item (−1).

    Raises:
        ConfigurationError: the network has no logits beyond the trie.
    """
    trie = network.trie
    paths = trie.path(items.clamp(min=0))
    nodes = torch.zeros_like(items)
    state = network.reorder(network.begin(memory), nodes)
    codes = []
    for level in range(trie.depth):
        first, mask = child_range(trie, nodes, level)
        log_prob, state = vocabulary_step(network, memory, state, nodes, mask, level)
        codes.append(log_prob.gather(-1, (paths[..., level] - first).unsqueeze(-1)).squeeze(-1))
        nodes = paths[..., level]
    return torch.stack(codes, -1).masked_fill((items < 0).unsqueeze(-1), float("-inf"))
