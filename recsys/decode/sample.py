"""Independent draws from a generator's distribution over each request's legal set."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.data.context import Context
from recsys.decode.legal import LegalSet
from recsys.decode.mass import legal_mass
from recsys.decode.step import child_range, sibling_step
from recsys.models.generator import Generator


@torch.no_grad()
def sample(
    network: Generator[Any, Any], memory: Any, context: Context, draws: int, generator: torch.Generator
) -> tuple[Int[Tensor, "B G"], Float[Tensor, "B G L"]]:
    """`G = draws` independent legal items a request, an item as often as it is drawn.

    Walks from the root down, each child with its probability times the legal share of its subtree, so that no draw is
    ever rejected.

    Args:
        network: what generates.
        memory: of the `B` requests.
        context: the requests; only their legal sets are read.
        draws: `G`.
        generator: randomness, on the device of the network.

    Returns:
        The items, and the log-probability (nats) of each code over the legal set, equal to `score`'s.

    Raises:
        EmptyLegalSetError: a request allows no item.
    """
    trie = network.trie
    mass = legal_mass(network, memory, LegalSet.of(trie, context))
    nodes, state = trie.root(network.rows(memory)), network.begin(memory)
    codes: list[Tensor] = []
    for level in range(trie.depth):
        first, mask = child_range(trie, nodes, level)
        log_prob, state = sibling_step(network, memory, state, nodes, mask, level)
        legal = mass.marks[level].add_to(log_prob, nodes).expand(-1, draws, -1)
        noise = torch.empty(legal.shape, device=legal.device).exponential_(generator=generator).log_()
        taken = (legal - noise).argmax(-1, keepdim=True)
        codes.append(log_prob.expand_as(legal).gather(-1, taken).squeeze(-1))
        if level == 0:
            state = network.reorder(state, torch.zeros_like(taken).squeeze(-1))
        nodes = first + taken.squeeze(-1)
    codes[-1] = codes[-1] - mass.total.unsqueeze(1)
    return trie.leaf_item[nodes], torch.stack(codes, -1)
