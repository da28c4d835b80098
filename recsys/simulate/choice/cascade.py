"""Cascade: a user reads from the top and stops at the first click."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recsys.simulate.choice.single import SingleChoice


@dataclass(frozen=True)
class Cascade(SingleChoice):
    """`P(k) = γ a_k Π_{j<k} (1 − γ a_j)` with attractiveness `a = attraction(score)`.

    Source: Craswell et al. 2008, "An experimental comparison of click position-bias models". Attention as in RecSim's
    `CascadeChoiceModel`: a user overlooks each item with probability `1 − γ`, and reads on.

    Args:
        attention: `γ`, in [0, 1].
        attraction: from a score to the probability that a user who looks at the item clicks it, in [0, 1].

    >>> shown, score = torch.ones(1, 3, dtype=torch.bool), torch.zeros(1, 3)
    >>> Cascade().click_probability(score, shown)
    tensor([[0.5000, 0.2500, 0.1250]])
    """

    attention: float = 1.0
    attraction: Callable[[Tensor], Tensor] = torch.sigmoid

    def choice_log_prob(self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"]) -> Float[Tensor, "B S1"]:
        """See `SingleChoice.choice_log_prob`."""
        click = (self.attention * self.attraction(scores)).masked_fill(~shown, 0)
        passed = torch.log1p(-click).cumsum(1)
        before = torch.cat([passed.new_zeros(len(scores), 1), passed[:, :-1]], 1)
        return torch.cat([click.log() + before, passed[:, -1:]], 1)
