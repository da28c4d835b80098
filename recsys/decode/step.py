"""One decoding step: the children of all beams and their normalised log-probabilities."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.items.trie import Trie
from recsys.models.generators.generator import Generator


def over_siblings(logits: Float[Tensor, "*nodes C"], mask: Bool[Tensor, "*nodes C"]) -> Float[Tensor, "*nodes C"]:
    """Log-softmax (nats) over the children that exist: the only log-probability of a generative policy.

    Args:
        logits: `[..., C]`; arbitrary where there is no child. A difference between two logits is kept to one rounding
            of the larger: with logits of 1e4, a log-probability is known to about 1e-3 nats in float32. Legal sets that
            are left with less than exp(−1000) are therefore refused (`recsys.decode.legal.require_mass`). A row is NaN
            where a child's logit is NaN or +inf, or those of all children are −inf; searches and scores refuse it.
        mask: `[..., C]`, true where the child exists, at least once a node; −inf comes out elsewhere.

    >>> over_siblings(torch.tensor([1.0, 1.0, 9.0]), torch.tensor([True, True, False])).exp()
    tensor([0.5000, 0.5000, 0.0000])
    """
    return torch.log_softmax(logits.masked_fill(~mask, float("-inf")), -1)


def over_vocabulary(
    logits: Float[Tensor, "*nodes V"], columns: Int[Tensor, "*nodes C"], mask: Bool[Tensor, "*nodes C"]
) -> Float[Tensor, "*nodes C"]:
    """Log-softmax (nats) over a whole vocabulary, the mask after it: what released ReRe and MiniOneRec code does.

    Not a distribution over the catalogue: what falls on codes that lead nowhere is lost, more for some items than for
    others.

    Args:
        logits: `[..., V]`.
        columns: `[..., C]`, where in the vocabulary each child's code is; arbitrary where there is no child.
        mask: `[..., C]`, true where the child exists; −inf comes out elsewhere.

    >>> over_vocabulary(torch.zeros(4), torch.tensor([2, 3]), torch.tensor([True, False])).exp()
    tensor([0.2500, 0.0000])
    """
    chosen = logits.gather(-1, columns) - logits.logsumexp(-1, keepdim=True)
    return chosen.masked_fill(~mask, float("-inf"))


def child_range(
    trie: Trie, nodes: Int[Tensor, "*nodes"], level: int
) -> tuple[Int[Tensor, "*nodes"], Bool[Tensor, "*nodes C"]]:
    """Return the first child of each node, and which of its `C` places hold a child; child `c` is node `first + c`.

    All that a search needs of `Trie.expand`: the children it does not take need no index.
    """
    pointers = trie.first_child(level)
    first = pointers[nodes]
    count = pointers[nodes + 1] - first
    places = torch.arange(trie.branching[level], dtype=count.dtype, device=count.device)
    return first.long(), places < count.unsqueeze(-1)


@runtime_checkable
class DecodingStep(Protocol):
    """One step of a network, its logits turned into log-probabilities."""

    def __call__(
        self,
        network: Generator[Any, Any],
        memory: Any,
        state: Any,
        nodes: Int[Tensor, "B M"],
        mask: Bool[Tensor, "B M C"],
        level: int,
    ) -> tuple[Float[Tensor, "B M C"], Any]:
        """Log-probability (nats) of each child, −inf where the mask says there is none, and the new state."""
        ...


@runtime_checkable
class VocabularyGenerator(Protocol):
    """A generator that also has logits for codes that lead nowhere.

    Attributes:
        level_start: for each level, the column of the vocabulary that holds its first code.
    """

    level_start: tuple[int, ...]

    def vocabulary_logits(
        self, memory: Any, state: Any, nodes: Int[Tensor, "B M"], level: int
    ) -> tuple[Float[Tensor, "B M V"], Any]:
        """Logits of the whole vocabulary behind each beam's node, and the new state."""
        ...

    def vocabulary_path_log_prob(self, memory: Any, items: Int[Tensor, "B G"]) -> Float[Tensor, "B G L"]:
        """Teacher-forced log-probability (nats) of each code of each item over the whole vocabulary."""
        ...


def sibling_step(
    network: Generator[Any, Any],
    memory: Any,
    state: Any,
    nodes: Int[Tensor, "B M"],
    mask: Bool[Tensor, "B M C"],
    level: int,
) -> tuple[Float[Tensor, "B M C"], Any]:
    """`over_siblings`, the policy's own."""
    logits, state = network.step(memory, state, nodes, level)
    return over_siblings(logits, mask), state


def vocabulary_step(
    network: Generator[Any, Any],
    memory: Any,
    state: Any,
    nodes: Int[Tensor, "B M"],
    mask: Bool[Tensor, "B M C"],
    level: int,
) -> tuple[Float[Tensor, "B M C"], Any]:
    """`over_vocabulary`, the published form.

    Raises:
        ConfigurationError: the network has no logits beyond the trie.
    """
    vocabulary = with_vocabulary(network)
    logits, state = vocabulary.vocabulary_logits(memory, state, nodes, level)
    columns = network.trie.expand(nodes, level).tokens + vocabulary.level_start[level]
    return over_vocabulary(logits, columns, mask), state


def with_vocabulary(network: Generator[Any, Any]) -> VocabularyGenerator:
    """Return the network itself, once it is known to have logits beyond the trie.

    Raises:
        ConfigurationError: it has not.
    """
    if not isinstance(network, VocabularyGenerator):
        raise ConfigurationError(
            f"{type(network).__name__} has no `vocabulary_logits`, which the published form normalises over: choose a "
            "network that has (EncoderDecoder), or the policy over the legal set (GenerativePolicy)"
        )
    return network
