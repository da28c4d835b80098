"""Position-based model: every slot is looked at with a probability of its own, and clicks are independent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class PositionBased:
    """`P(click at k) = examination_k · a_k` with attractiveness `a = attraction(score)`; slots are independent.

    Source: Richardson, Dominowska, Ragno 2007, "Predicting clicks: estimating the click-through rate for new ads".

    Args:
        examination: the probability that slot `k` is looked at, in [0, 1], for each slot of the longest slate.
        attraction: from a score to the probability that a user who looks at the item clicks it, in [0, 1].

    >>> shown, score = torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 2)
    >>> PositionBased(examination=(1.0, 0.5)).click_probability(score, shown)
    tensor([[0.5000, 0.2500]])
    """

    examination: Sequence[float]
    attraction: Callable[[Tensor], Tensor] = torch.sigmoid

    def sample(
        self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"], generator: torch.Generator
    ) -> Bool[Tensor, "B S"]:
        """See `ChoiceModel.sample`."""
        draw = torch.rand(scores.shape, generator=generator, device=scores.device, dtype=scores.dtype)
        return draw < self.click_probability(scores, shown)

    def click_probability(self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"]) -> Float[Tensor, "B S"]:
        """See `ChoiceModel.click_probability`.

        Raises:
            ValueError: the slate has more slots than `examination`.
        """
        if scores.shape[1] > len(self.examination):
            raise ValueError(f"{scores.shape[1]} slots, but examination gives {len(self.examination)}")
        looked_at = torch.tensor(self.examination[: scores.shape[1]], device=scores.device, dtype=scores.dtype)
        return (looked_at * self.attraction(scores)).masked_fill(~shown, 0)

    def log_prob(
        self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"], clicks: Bool[Tensor, "B S"]
    ) -> Float[Tensor, " B"]:
        """See `ChoiceModel.log_prob`."""
        click = self.click_probability(scores, shown)
        return torch.where(clicks, click.log(), torch.log1p(-click)).sum(1)
