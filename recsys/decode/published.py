"""Search and score as released ReRe and MiniOneRec code does: softmax over the whole vocabulary, the mask after it."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from recsys.data.context import Context
from recsys.decode.beam import search
from recsys.decode.legal import LegalSet
from recsys.decode.step import vocabulary_step, with_vocabulary
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
    codes = with_vocabulary(network).vocabulary_path_log_prob(memory, items.clamp(min=0))
    return codes.masked_fill((items < 0).unsqueeze(-1), float("-inf"))
