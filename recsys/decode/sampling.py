"""Sampling from a generator over the legal set: independently, or without replacement by stochastic beam search."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.decode.eligible import Eligible
from recsys.decode.legal import LegalSet, log1mexp, require_mass, require_numbers, require_possible
from recsys.decode.normalisation import CONDITIONAL, Normalisation
from recsys.decode.top_k import top_k
from recsys.decode.walk import Walk
from recsys.models.generators.generator import Generator
from recsys.types.context import Context


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
        EmptyLegalSetError: a request allows no item, or none with a probability above 0.
        NonFiniteError: a logit on the way is NaN or +inf.
    """
    eligible = CONDITIONAL.eligible(LegalSet.of(network.trie, context))
    drawn = sample_eligible(network, memory, eligible, draws, generator)
    return drawn.items, drawn.codes


@torch.no_grad()
def sample_eligible(
    network: Generator[Any, Any], memory: Any, eligible: Eligible, draws: int, generator: torch.Generator
) -> Walk:
    """`sample` over what rows may hold, by its own normalisation."""
    trie = network.trie
    branches = eligible.to_draw(network, memory)
    mass = branches.log_mass()
    require_mass(mass)
    nodes, state = trie.root(network.rows(memory)), network.begin(memory)
    codes: list[Tensor] = []
    for level in range(trie.depth):
        first, log_prob, state = branches.step(network, memory, state, nodes, level)
        weighted = branches.weigh(log_prob, nodes, level).expand(-1, draws, -1)
        noise = torch.empty(weighted.shape, device=weighted.device).exponential_(generator=generator).log_()
        taken = (weighted - noise).argmax(-1, keepdim=True)
        codes.append(log_prob.expand_as(weighted).gather(-1, taken).squeeze(-1))
        if level == 0:
            state = network.reorder(state, torch.zeros_like(taken).squeeze(-1))
        nodes = torch.where(codes[-1] > float("-inf"), first + taken.squeeze(-1), 0)
    codes[-1] = codes[-1] - mass.unsqueeze(1)
    found = torch.stack(codes, -1)
    require_numbers(found)
    items = trie.leaf_item[nodes]
    return Walk(items, found, state, torch.arange(draws, device=items.device).expand_as(items))


IMPOSSIBLE = -1e30
"""Stands for −inf where a difference of two −inf would be taken."""


@torch.no_grad()
def stochastic_beam_search(
    network: Generator[Any, Any],
    memory: Any,
    context: Context,
    draws: int,
    generator: torch.Generator,
    normalisation: Normalisation = CONDITIONAL,
) -> tuple[Int[Tensor, "B G"], Float[Tensor, "B G L"], Float[Tensor, "B G"]]:
    """Draw `G = draws` distinct legal items a request, in the order of drawing without replacement.

    Every legal item `y` has a perturbed log-probability `log π(y) + Gumbel noise`; the largest `G` are the draw. They
    are found without touching the rest: a subtree's largest is `log π(subtree) + Gumbel noise`, and the largest of its
    children's are drawn given that one of them is it. The largest that is left out is the threshold κ, for which the
    search is one beam wider. `Σ_y∈draw π(y) / q(y) f(y)` with `q` the inclusion probability is an unbiased estimate of
    `E_π f`. Source: Kool, van Hoof and Welling 2019, sections 3 and 4, appendix B.

    Args:
        network: what generates.
        memory: of the `B` requests.
        context: the requests; only their legal sets are read.
        draws: `G`.
        generator: randomness, on the device of the network.
        normalisation: makes the distribution over the legal set.

    Returns:
        The items, −1 where the legal set has fewer. The log-probability (nats) of each code over the legal set, equal
        to `score`'s. The log of each item's inclusion probability given the threshold, `1 − exp(−exp(log π(y) − κ))`;
        0 where the legal set has no more than `G` items.

    Raises:
        EmptyLegalSetError: a request allows no item, or none with a probability above 0.
        NonFiniteError: a logit on the way is NaN or +inf.
    """
    trie = network.trie
    branches = normalisation.eligible(LegalSet.of(trie, context)).to_draw(network, memory)
    mass = branches.log_mass()
    require_mass(mass)
    nodes, state = trie.root(network.rows(memory)), network.begin(memory)
    prefix = mass.new_zeros(nodes.shape)
    perturbed = -torch.empty_like(prefix).exponential_(generator=generator).log_()
    location, codes = prefix, prefix.unsqueeze(-1)[..., :0]
    for level in range(trie.depth):
        first, log_prob, state = branches.step(network, memory, state, nodes, level)
        grown = prefix.unsqueeze(-1) + log_prob
        legal = branches.weigh(grown, nodes, level) - mass[:, None, None]
        noisy = gumbel_given_maximum(legal, perturbed, generator).flatten(1)
        perturbed, index = top_k(noisy, min(draws + 1, noisy.shape[1]))
        parents = index // log_prob.shape[-1]
        prefix, location, own = (values.flatten(1).gather(1, index) for values in (grown, legal, log_prob))
        nodes = torch.where(perturbed > float("-inf"), first.gather(1, parents) + index % log_prob.shape[-1], 0)
        codes = torch.cat([codes.gather(1, parents.unsqueeze(-1).expand(-1, -1, level)), own.unsqueeze(-1)], -1)
        if level + 1 < trie.depth:
            state = network.reorder(state, parents)
    require_possible(perturbed[:, 0])
    codes[..., -1] -= mass.unsqueeze(1)
    return _drawn(trie.leaf_item[nodes], codes, location, perturbed, draws)


def _drawn(
    items: Int[Tensor, "B M"],
    codes: Float[Tensor, "B M L"],
    location: Float[Tensor, "B M"],
    perturbed: Float[Tensor, "B M"],
    draws: int,
) -> tuple[Int[Tensor, "B G"], Float[Tensor, "B G L"], Float[Tensor, "B G"]]:
    """Return the first `draws` beams, the next one's perturbed log-probability as threshold; padded where too few."""
    missing = max(0, draws + 1 - items.shape[1])
    perturbed, location = (nn.functional.pad(x, (0, missing), value=float("-inf")) for x in (perturbed, location))
    dead = perturbed[:, :draws].isneginf()
    items = nn.functional.pad(items, (0, missing))[:, :draws].masked_fill(dead, -1)
    codes = nn.functional.pad(codes, (0, 0, 0, missing))[:, :draws].masked_fill(dead.unsqueeze(-1), float("-inf"))
    return items, codes, log_inclusion(location[:, :draws], perturbed[:, draws:]).masked_fill(dead, float("-inf"))


def gumbel_given_maximum(
    location: Float[Tensor, "*rows C"], maximum: Float[Tensor, "*rows"], generator: torch.Generator
) -> Float[Tensor, "*rows C"]:
    """Independent Gumbel variables with the given locations, given that the largest of them is `maximum`.

    `G_i = −log(exp(−maximum) − exp(−Z) + exp(−G̃_i))` with `G̃` unconditioned and `Z` its largest, computed without
    overflow (Kool et al. 2019, appendix B.3). −inf where the location or the maximum is.

    Args:
        location: `[..., C]`, nats.
        maximum: `[...]`.
        generator: randomness.
    """
    free = location - torch.empty_like(location).exponential_(generator=generator).log_()
    free.clamp_(min=IMPOSSIBLE)
    top = maximum.unsqueeze(-1)
    v = log1mexp(free - free.amax(-1, keepdim=True)).add_(top).sub_(free)
    below = v.abs().neg_().exp_().log1p_().add_(v.clamp_(min=0.0))
    return (top - below).masked_fill_(location.isneginf(), float("-inf"))


def log_inclusion(log_prob: Float[Tensor, "B G"], threshold: Float[Tensor, "B 1"]) -> Float[Tensor, "B G"]:
    """`log(1 − exp(−exp(log π − κ)))`, nats: that a perturbed log-probability exceeds the threshold.

    >>> log_inclusion(torch.tensor([[0.0, -60.0]]), torch.tensor([[0.0]]))
    tensor([[ -0.4587, -60.0000]])
    """
    excess = log_prob - threshold
    return log1mexp(-excess.clamp(min=-15.0).exp()).where(excess > -15.0, excess)
