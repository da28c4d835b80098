"""What rows of slates may still hold, and how a walk from the root to a leaf is normalised over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int
from torch import Tensor
from typing_extensions import override

from recsys.decode.legal import LegalSet
from recsys.decode.step import DecodingStep, child_range, sibling_step
from recsys.decode.subtree_mask import SubtreeMask
from recsys.items.trie import Trie
from recsys.models.generators.generator import Generator


@runtime_checkable
class Branches(Protocol):
    """A walk down the trie for `R` rows of beams."""

    def log_mass(self) -> Float[Tensor, " R"]:
        """Return what an item's log-probability is less than the sum over its codes, `[R]`, nats: 0, or the mass of
        what the row allows, by the codes' log-probabilities.
        """
        ...

    def step(
        self, network: Generator[Any, Any], memory: Any, state: Any, nodes: Int[Tensor, "R M"], level: int
    ) -> tuple[Int[Tensor, "R M"], Float[Tensor, "R M C"], Any]:
        """Return the first child of each node, the log-probability (nats) of each child, and the new state."""
        ...

    def weigh(self, scores: Float[Tensor, "R M C"], nodes: Int[Tensor, "R M"], level: int) -> Float[Tensor, "R M C"]:
        """Return scores of the nodes' children with what the walk adds to them: −inf where a child leads nowhere."""
        ...

    def select(self, rows: Int[Tensor, " Q"]) -> Branches:
        """Return the walk of the named rows, in the order named."""
        ...


@runtime_checkable
class Eligible(Protocol):
    """What each of `R` rows may still hold: the legal set of its request without the items placed so far."""

    def select(self, rows: Int[Tensor, " Q"]) -> Eligible:
        """Return the named rows, in the order named."""
        ...

    def without(self, items: Int[Tensor, " R"]) -> Eligible:
        """Return what is left when each row's item is placed; −1 takes nothing, nor does a row's only item."""
        ...

    def to_draw(self, network: Generator[Any, Any], memory: Any) -> Branches:
        """Return the walk that draws items: weighed, each child has the log-probability of what it leads to."""
        ...

    def to_search(self, network: Generator[Any, Any], memory: Any) -> Branches:
        """Return the walk that searches: children that lead nowhere are ruled out."""
        ...


@dataclass(frozen=True)
class MaskedBranches(Branches):
    """Branches by masks that are known for the whole walk; codes are normalised by a step of their own.

    Args:
        trie: the catalogue.
        mass: `[R]`, nats, `log_mass`.
        masks: for levels `0 .. L − 1`, what is added to the children's scores.
        decoding_step: normalises the codes.
    """

    trie: Trie
    mass: Float[Tensor, " R"]
    masks: tuple[SubtreeMask, ...]
    decoding_step: DecodingStep = sibling_step

    @override
    def log_mass(self) -> Float[Tensor, " R"]:
        return self.mass

    @override
    def step(
        self, network: Generator[Any, Any], memory: Any, state: Any, nodes: Int[Tensor, "R M"], level: int
    ) -> tuple[Int[Tensor, "R M"], Float[Tensor, "R M C"], Any]:
        first, mask = child_range(self.trie, nodes, level)
        log_prob, state = self.decoding_step(network, memory, state, nodes, mask, level)
        return first, log_prob, state

    @override
    def weigh(self, scores: Float[Tensor, "R M C"], nodes: Int[Tensor, "R M"], level: int) -> Float[Tensor, "R M C"]:
        return self.masks[level].add_to(scores, nodes)

    @override
    def select(self, rows: Int[Tensor, " Q"]) -> MaskedBranches:
        masks = tuple(mask.select(rows) for mask in self.masks)
        return MaskedBranches(self.trie, self.mass[rows], masks, self.decoding_step)


def possible_slots(legal: LegalSet, items: Int[Tensor, "B G S"]) -> Bool[Tensor, "B G S"]:
    """Return where a slate has probability: true up to the first slot that holds no eligible item, or a placed one."""
    repeated = (items.unsqueeze(-1) == items.unsqueeze(-2)).tril(-1).any(-1)
    return (legal.contains(items.flatten(1)).view(items.shape) & ~repeated).cumprod(-1).bool()
