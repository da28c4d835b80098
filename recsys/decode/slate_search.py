"""Search for the best slates of a generator: one beam over all codes of all slots, or greedily slot after slot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from recsys.decode.beam import search_eligible
from recsys.decode.eligible import Eligible
from recsys.decode.legal import LegalSet, require_mass, require_possible
from recsys.decode.normalisation import CONDITIONAL, Normalisation, impossible_where
from recsys.decode.top_k import top_k
from recsys.decode.walk import Walk
from recsys.models.generators.generator import Generator, by_request, by_row
from recsys.types.context import Context

Extend = Callable[[Any, Int[Tensor, " R"], Any], Any]
"""What a memory becomes when an item is placed: `Generator.extend`, or the memory itself where slots ignore it."""


@runtime_checkable
class SlateSearch(Protocol):
    """Finds slates of high probability."""

    def __call__(
        self,
        network: Generator[Any, Any],
        memory: Any,
        context: Context,
        count: int,
        slots: int,
        beams: int,
        extend: Extend,
        normalisation: Normalisation = CONDITIONAL,
    ) -> tuple[Int[Tensor, "B count S"], Float[Tensor, "B count S L"]]:
        """Return distinct slates of each request by falling log-probability, and that of each code (nats).

        Where a request allows fewer than `slots` items, the last slots hold −1 with −inf on their last code. A missing
        slate holds −1 everywhere and stands last.

        Args:
            network: what generates.
            memory: of the `B` requests.
            context: the requests; only their legal sets are read.
            count: how many slates, at least 1.
            slots: `S`, at least 1.
            beams: least width of a search.
            extend: what the next slot knows of a placed item.
            normalisation: makes the distribution of a slot.

        Raises:
            EmptyLegalSetError: a request allows no item, or a slot has none left with a probability above 0.
            NonFiniteError: a logit on the way is NaN or +inf.
        """
        ...


@torch.no_grad()
def search_slates(
    network: Generator[Any, Any],
    memory: Any,
    context: Context,
    count: int,
    slots: int,
    beams: int,
    extend: Extend,
    normalisation: Normalisation = CONDITIONAL,
) -> tuple[Int[Tensor, "B count S"], Float[Tensor, "B count S L"]]:
    """Search with one beam of `max(count, beams)` hypotheses over the codes of all slots; see `SlateSearch`.

    A hypothesis is some whole items and the first codes of the next. With as many beams as there are slates the search
    is the exact ranking; with few, the slates it finds often differ in their last slot alone (`greedy_slates` has a
    slate for each first item).
    """
    legal, width = LegalSet.of(network.trie, context), max(count, beams)
    counts, eligible = legal.counts, normalisation.eligible(legal)
    walk = search_eligible(network, memory, eligible, min(width, network.trie.num_items), context.users)
    found = _Found.first(walk)
    origin = torch.zeros_like(found.items[:, :, 0])
    for slot in range(1, slots):
        had = network.rows(memory) // max(len(origin), 1)
        memory, eligible = network.branch(memory, origin), eligible.select(_rows(origin, had))
        placed = found.items[:, :, -1].flatten()
        memory = extend(memory, placed.clamp(min=0), walk.rows_state(network))
        eligible = eligible.without(placed)
        origin, walk, score = _search_slot(network, memory, eligible, found.score, width)
        found = found.followed(origin, walk.items, walk.codes, score, counts <= slot)
    return found.best(count)


@torch.no_grad()
def greedy_slates(
    network: Generator[Any, Any],
    memory: Any,
    context: Context,
    count: int,
    slots: int,
    beams: int,
    extend: Extend,
    normalisation: Normalisation = CONDITIONAL,
) -> tuple[Int[Tensor, "B count S"], Float[Tensor, "B count S L"]]:
    """Begin a slate with each of the `count` best items and fill it greedily; see `SlateSearch`.

    Inside a slot the best item is searched by a beam; over the slots nothing is taken back. Slates differ in their
    first item.
    """
    legal, num_items = LegalSet.of(network.trie, context), network.trie.num_items
    counts, eligible = legal.counts, normalisation.eligible(legal)
    walk = search_eligible(network, memory, eligible, min(max(count, beams), num_items), context.users).first(count)
    found = _Found.first(walk)
    first = torch.zeros_like(found.items[:, :, 0])
    same = torch.arange(first.shape[1], device=first.device).expand_as(first)
    memory, eligible = network.branch(memory, first), eligible.select(_rows(first, 1))
    for slot in range(1, slots):
        placed = found.items[:, :, -1].flatten()
        memory = extend(memory, placed.clamp(min=0), walk.rows_state(network))
        eligible = eligible.without(placed)
        walk = search_eligible(network, memory, eligible, min(beams, num_items)).first(1)
        items, codes = walk.items.view(first.shape), walk.codes.view(*first.shape, -1)
        found = found.followed(same, items, codes, found.score + codes.sum(-1), counts <= slot)
    return found.sorted().best(count)


@dataclass(frozen=True)
class _Found:
    """`W` slates a request, their first `s` slots.

    Args:
        items: `[B, W, s]`, −1 where there is none.
        codes: `[B, W, s, L]`, nats.
        score: `[B, W]`, nats, of the slots that hold an item; −inf where there is no slate.
    """

    items: Int[Tensor, "B W s"]
    codes: Float[Tensor, "B W s L"]
    score: Float[Tensor, "B W"]

    @classmethod
    def first(cls, walk: Walk) -> _Found:
        """Slates of one slot."""
        return cls(walk.items.unsqueeze(2), walk.codes.unsqueeze(2), walk.codes.sum(-1))

    def followed(
        self,
        origin: Int[Tensor, "B V"],
        items: Int[Tensor, "B V"],
        codes: Float[Tensor, "B V L"],
        score: Float[Tensor, "B V"],
        done: Bool[Tensor, " B"],
    ) -> _Found:
        """Return the slates with one slot more, each of which continues the one at `origin`.

        Where a request is done, no item being left, its slates go on as they are, and the slot is empty.
        """
        done, width = done.unsqueeze(1), self.score.shape[1]
        row = torch.arange(len(origin), device=origin.device).unsqueeze(1)
        same = torch.arange(origin.shape[1], device=origin.device).clamp(max=width - 1)
        origin = torch.where(done, same, origin)
        kept = nn.functional.pad(self.score, (0, origin.shape[1] - width), value=float("-inf"))
        codes = impossible_where(done.expand_as(items), codes)
        return _Found(
            torch.cat([self.items[row, origin], items.masked_fill(done, -1).unsqueeze(2)], 2),
            torch.cat([self.codes[row, origin], codes.unsqueeze(2)], 2),
            torch.where(done, kept, score),
        )

    def sorted(self) -> _Found:
        """Return the slates by falling score."""
        score, order = self.score.sort(dim=-1, descending=True, stable=True)
        row = torch.arange(len(order), device=order.device).unsqueeze(1)
        return _Found(self.items[row, order], self.codes[row, order], score)

    def best(self, count: int) -> tuple[Int[Tensor, "B count S"], Float[Tensor, "B count S L"]]:
        """Return the first `count` slates; −1 and −inf where there are fewer."""
        none = self.score.isneginf().unsqueeze(2)
        items = self.items.masked_fill(none, -1)
        codes = self.codes.masked_fill(none.unsqueeze(3), float("-inf"))
        missing = max(0, count - items.shape[1])
        return (
            nn.functional.pad(items[:, :count], (0, 0, 0, missing), value=-1),
            nn.functional.pad(codes[:, :count], (0, 0, 0, 0, 0, missing), value=float("-inf")),
        )


def _search_slot(
    network: Generator[Any, Any], memory: Any, eligible: Eligible, score: Float[Tensor, "B W"], beams: int
) -> tuple[Int[Tensor, "B V"], Walk, Float[Tensor, "B V"]]:
    """Return the best continuations of all slates of a request by one item.

    Every hypothesis is a row of its own, with one beam, as hypotheses of one request stand behind different slates.

    Returns:
        Which slate each continues, the walk to its item, and the score of slate and item.
    """
    trie, (requests, slates) = network.trie, score.shape
    branches = eligible.to_search(network, memory)
    mass = branches.log_mass().view(requests, slates)
    require_mass(mass.masked_fill(mass.isneginf() | score.isneginf(), 0.0))  # slates that end here are left out below
    nodes, state = trie.root(requests * slates), network.begin(memory)
    origin = torch.arange(slates, device=score.device).expand(requests, -1)
    codes, score = score.unsqueeze(-1)[..., :0], (score - mass).masked_fill(mass.isneginf(), float("-inf"))
    parents = origin
    for level in range(trie.depth):
        here = branches.select(_rows(origin, slates))
        first, log_prob, state = here.step(network, memory, state, nodes, level)
        grown = here.weigh(score.reshape(-1, 1, 1) + log_prob, nodes, level)
        children = log_prob.shape[-1]
        score, index = top_k(grown.view(requests, -1), min(beams, grown.shape[0] // requests * children))
        parents = index // children
        own = log_prob.view(requests, -1).gather(1, index)
        codes = torch.cat([codes.gather(1, parents.unsqueeze(-1).expand(-1, -1, level)), own.unsqueeze(-1)], -1)
        reached = first.view(requests, -1).gather(1, parents) + index % children
        nodes = torch.where(score > float("-inf"), reached, 0).view(-1, 1)
        origin = origin.gather(1, parents)
        if level + 1 < trie.depth:
            memory = network.branch(memory, parents)
            state = by_row(network.reorder(by_request(state, requests), parents))
    require_possible(score[:, 0])
    codes[..., -1] -= mass.gather(1, origin)
    items = trie.leaf_item[nodes].view(score.shape).masked_fill(score.isneginf(), -1)
    return origin, Walk(items, codes, by_request(state, requests), parents), score


def _rows(beams: Int[Tensor, "B M"], had: int) -> Int[Tensor, " B_M"]:
    """Which of `B · had` rows each beam continues."""
    first = torch.arange(beams.shape[0], device=beams.device) * had
    return (first.unsqueeze(1) + beams).flatten()
