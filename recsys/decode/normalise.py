"""How the logits of a node's children become log-probabilities."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from recsys.items.trie import Children
from recsys.models.generator import Generator

Normalised = tuple[Float[Tensor, "B M C"], Any]
"""Log-probability (nats) of each child of each beam's node, −inf where there is no child; and the new state."""


class Normalise(Protocol):
    """One step of a network, its logits turned into log-probabilities."""

    def __call__(
        self,
        network: Generator[Any, Any],
        memory: Any,
        state: Any,
        nodes: Int[Tensor, "B M"],
        children: Children,
        level: int,
    ) -> Normalised:
        """See `Generator.step`; `children` are those of `nodes`."""
        ...


@runtime_checkable
class VocabularyGenerator(Protocol):
    """A generator that also has logits for codes that lead nowhere.

    Attributes:
        level_start: the column of the first code of each of the levels `0 .. L − 1`.
    """

    level_start: tuple[int, ...]

    def vocabulary_logits(
        self, memory: Any, state: Any, nodes: Int[Tensor, "B M"], level: int
    ) -> tuple[Float[Tensor, "B M V"], Any]:
        """Logits of the whole vocabulary behind each beam's node, and the new state."""
        ...


def over_siblings(
    network: Generator[Any, Any], memory: Any, state: Any, nodes: Int[Tensor, "B M"], children: Children, level: int
) -> Normalised:
    """Softmax over the children that exist: the only log-probability of a generative policy."""
    logits, state = network.step(memory, state, nodes, level)
    return network.sibling_log_softmax(logits, children.mask), state


def over_vocabulary(
    network: Generator[Any, Any], memory: Any, state: Any, nodes: Int[Tensor, "B M"], children: Children, level: int
) -> Normalised:
    """Softmax over the whole vocabulary, the mask after it: released ReRe and MiniOneRec code, to reproduce it.

    Not a distribution over the catalogue: what falls on codes that lead nowhere is lost, more for some items than for
    others.

    Raises:
        TypeError: the network has no logits beyond the trie.
    """
    if not isinstance(network, VocabularyGenerator):
        raise TypeError(f"{type(network).__name__} has no `vocabulary_logits` to normalise over: use `over_siblings`")
    logits, state = network.vocabulary_logits(memory, state, nodes, level)
    columns = children.tokens + network.level_start[level]
    chosen = logits.gather(-1, columns) - logits.logsumexp(-1, keepdim=True)
    return chosen.masked_fill(~children.mask, float("-inf")), state
