"""Constrained beam search over the legal set, and the unmasked search and score of published code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.decode.eligible import Branches, Eligible, MaskedBranches
from recsys.decode.legal import LegalSet, require_mass, require_numbers, require_possible
from recsys.decode.normalisation import CONDITIONAL
from recsys.decode.step import vocabulary_step, with_vocabulary
from recsys.decode.subtree_mask import dead_branches
from recsys.decode.top_k import top_k
from recsys.decode.walk import Walk
from recsys.models.generators.generator import Generator
from recsys.types.context import Context
from recsys.types.slates import require_items


@dataclass(frozen=True)
class Beams:
    """The beams of `B` requests, best first.

    Args:
        nodes: `[B, M]`, where each beam stands.
        log_prob: `[B, M, l]`, nats: of each code on the way there.
        score: `[B, M]`: what the beams are ranked by; −inf where a beam is dead.
    """

    nodes: Int[Tensor, "B M"]
    log_prob: Float[Tensor, "B M l"]
    score: Float[Tensor, "B M"]


@torch.no_grad()
def beam_search(
    network: Generator[Any, Any], memory: Any, context: Context, beams: int
) -> tuple[Int[Tensor, "B M"], Float[Tensor, "B M L"]]:
    """Return the `M = beams` best legal items that a search of that width finds, by falling log-probability, distinct.

    With as many beams as the catalogue has items it is the exact ranking. Every beam is a prefix of a legal item:
    branches without one are pruned, so a search finds as many items as asked wherever the legal set has them. Equal
    scores stand in a pseudo-random order that the user and the place in the beam fix (`recsys.decode.top_k`).

    Args:
        network: what generates.
        memory: of the `B` requests.
        context: the requests; only their users and their legal sets are read.
        beams: `M`, at least 1.

    Returns:
        The items, −1 where a request has fewer; and the log-probability (nats) of each code over the request's legal
        set, equal to `score`'s, −inf on the last code where there is no item.

    Raises:
        EmptyLegalSetError: a request allows no item, or none with a probability above 0.
        NonFiniteError: a logit on the way is NaN or +inf.
    """
    eligible = CONDITIONAL.eligible(LegalSet.of(network.trie, context))
    found = search_eligible(network, memory, eligible, beams, context.users)
    return found.items, found.codes


@torch.no_grad()
def search_eligible(
    network: Generator[Any, Any], memory: Any, eligible: Eligible, beams: int, users: Int[Tensor, " B"] | None = None
) -> Walk:
    """`beam_search` over what rows may hold, by its own normalisation; `users` fix the order of equal scores."""
    branches = eligible.to_search(network, memory)
    found = search(network, memory, branches, beams, users)
    mass = branches.log_mass()
    require_mass(mass)
    found.codes[..., -1] -= mass.unsqueeze(1)
    return found


@torch.no_grad()
def search(
    network: Generator[Any, Any],
    memory: Any,
    branches: Branches,
    beams: int,
    users: Int[Tensor, " B"] | None = None,
) -> Walk:
    """`beam_search` along any branches, without the correction by their mass."""
    trie = network.trie
    state = network.begin(memory)
    root = trie.root(network.rows(memory))
    zeros = torch.zeros(root.shape, device=root.device)
    found, parents = Beams(root, zeros.unsqueeze(-1)[..., :0], zeros), root
    for level in range(trie.depth):
        first, log_prob, state = branches.step(network, memory, state, found.nodes, level)
        grown = branches.weigh(found.score.unsqueeze(-1) + log_prob, found.nodes, level).flatten(1)
        keys = None if users is None else users * trie.depth + level  # another order of ties at each level
        found, parents = _advance(found, first, log_prob, grown, beams, keys)
        if level + 1 < trie.depth:
            state = network.reorder(state, parents)
    require_possible(found.score[:, 0])
    alive = ~found.score.isneginf()
    items = trie.leaf_item[found.nodes].masked_fill(~alive, -1)
    log_prob = found.log_prob.masked_fill(~alive.unsqueeze(-1), float("-inf"))
    missing = beams - items.shape[1]
    return Walk(
        nn.functional.pad(items, (0, missing), value=-1),
        nn.functional.pad(log_prob, (0, 0, 0, missing), value=float("-inf")),
        state,
        nn.functional.pad(parents, (0, missing)),
    )


def _advance(
    found: Beams,
    first: Int[Tensor, "B M"],
    log_prob: Float[Tensor, "B M C"],
    grown: Float[Tensor, "B MC"],
    beams: int,
    keys: Int[Tensor, " B"] | None,
) -> tuple[Beams, Int[Tensor, "B K"]]:
    """Return the best of all beams' children by their scores `grown`, and which beam each continues."""
    width = log_prob.shape[-1]
    score, index = top_k(grown, min(beams, grown.shape[1]), keys)
    parents = index // width
    codes = found.log_prob.gather(1, parents.unsqueeze(-1).expand(-1, -1, found.log_prob.shape[-1]))
    own = log_prob.flatten(1).gather(1, index)
    nodes = torch.where(score > float("-inf"), first.gather(1, parents) + index % width, 0)
    return Beams(nodes, torch.cat([codes, own.unsqueeze(-1)], -1), score), parents


def unmasked_beam_search(
    network: Generator[Any, Any], memory: Any, context: Context, beams: int
) -> tuple[Int[Tensor, "B M"], Float[Tensor, "B M L"]]:
    """`beam_search` ranked by `unmasked_score`: legal items only, but no distribution over them.

    Raises:
        EmptyLegalSetError: a request allows no item, or none with a probability above 0.
        NonFiniteError: a logit on the way is NaN or +inf.
        ConfigurationError: the network has no logits beyond the trie.
    """
    legal = LegalSet.of(network.trie, context)
    nothing = torch.zeros(len(legal), device=legal.leaves.values.device)
    branches = MaskedBranches(network.trie, nothing, dead_branches(legal), vocabulary_step)
    found = search(network, memory, branches, beams, context.users)
    return found.items, found.codes


def unmasked_score(network: Generator[Any, Any], memory: Any, items: Int[Tensor, "B G"]) -> Float[Tensor, "B G L"]:
    """Log-probability (nats) of each code of each item over the whole vocabulary. Carries gradient.

    Sums to less than 1 over the catalogue, and raises an item by lowering codes that lead nowhere. −inf where there is
    no item (−1).

    Raises:
        NonFiniteError: a logit on the way is NaN or +inf.
        ConfigurationError: the network has no logits beyond the trie.
        RequestError: an index is outside `−1 .. N − 1`.
    """
    require_items(items, network.trie.num_items)
    codes = with_vocabulary(network).vocabulary_path_log_prob(memory, items.clamp(min=0))
    require_numbers(codes)
    return codes.masked_fill((items < 0).unsqueeze(-1), float("-inf"))
