"""Items that a search or a draw walked to, and what the network carried there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from recsys.models.generators.generator import Generator, by_row


@dataclass(frozen=True)
class Walk:
    """`M` items a request, each reached code by code.

    Args:
        items: `[B, M]`, −1 where there is none.
        codes: `[B, M, L]`, nats, log-probability of each code.
        state: what the network's last step left of its beams, which have read all codes but the last.
        beams: `[B, M]`, which of those beams each item continues.
    """

    items: Int[Tensor, "B M"]
    codes: Float[Tensor, "B M L"]
    state: Any
    beams: Int[Tensor, "B M"]

    def first(self, count: int) -> Walk:
        """Return the first `count` items of each request."""
        return Walk(self.items[:, :count], self.codes[:, :count], self.state, self.beams[:, :count])

    def rows_state(self, network: Generator[Any, Any]) -> Any:
        """Return the state behind each item as that of `B · M` rows of one beam, for `Generator.extend`.

        Args:
            network: what walked.
        """
        return by_row(network.reorder(self.state, self.beams))
