"""The one contract of everything that says what a user clicks in a slate."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@runtime_checkable
class ChoiceModel(Protocol):
    """A distribution over the clicks in a slate, given a score for each shown item.

    Law, held by `tests/contracts`: `Σ exp log_prob = 1` over all ways to click; `sample` draws by it;
    `click_probability` is its marginal; a slot that shows nothing is never clicked and changes nothing.
    """

    def sample(
        self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"], generator: torch.Generator
    ) -> Bool[Tensor, "B S"]:
        """Draw the clicks of each of `B` slates.

        Args:
            scores: how much the user likes each item.
            shown: true where the slot shows an item; empty slots stand last.
            generator: on the device of the scores.
        """
        ...

    def click_probability(self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"]) -> Float[Tensor, "B S"]:
        """Probability that each slot is clicked, in [0, 1]."""
        ...

    def log_prob(
        self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"], clicks: Bool[Tensor, "B S"]
    ) -> Float[Tensor, " B"]:
        """Log-probability (nats) of the clicks of each slate; −inf where they cannot happen. Carries gradient."""
        ...
