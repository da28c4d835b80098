"""Multinomial proportional choice: shares of the scores themselves instead of their exponentials."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recsys.simulate.choice.single import SingleChoice


@dataclass(frozen=True)
class MultinomialProportional(SingleChoice):
    """`P(k) = (score_k − least) / ((no_click − least) + Σ_j (score_j − least))`.

    Source: `MultinomialProportionalChoiceModel` of RecSim (Ie et al. 2019, "RecSim: A Configurable Simulation Platform
    for Recommender Systems"); the defaults are those of its interest-evolution world.

    Args:
        no_click: score of not clicking.
        least: subtracted from every score, so that none is negative; a score below it counts as `least`.

    >>> shown = torch.ones(1, 2, dtype=torch.bool)
    >>> MultinomialProportional().click_probability(torch.tensor([[0.0, 1.0]]), shown)  # 1 and 2 of 1 + 2 + 2
    tensor([[0.2000, 0.4000]])
    """

    no_click: float = 1.0
    least: float = -1.0

    def choice_log_prob(self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"]) -> Float[Tensor, "B S1"]:
        """See `SingleChoice.choice_log_prob`."""
        weight = (scores - self.least).clamp(min=0).masked_fill(~shown, 0)
        every = torch.cat([weight, weight.new_full((len(scores), 1), self.no_click - self.least)], 1)
        return every.log() - every.sum(1, keepdim=True).log()
