"""Multinomial logit: the slate's items compete with each other and with not clicking."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from recsys.models.slate_choice import choice_log_prob
from recsys.simulate.choice.single import SingleChoice


@dataclass(frozen=True)
class MultinomialLogit(SingleChoice):
    """`P(k) = exp(score_k) / (exp(no_click) + Σ_j exp(score_j))`.

    Source: Eide, Leslie, Frigessi 2022, "Dynamic slate recommendation with gated recurrent units and Thompson
    sampling" (DMKD 36), where no click is the item of slot 0.

    Args:
        no_click: score of not clicking, finite; or −inf, and every slate that shows something is clicked.

    >>> import torch
    >>> shown = torch.ones(1, 2, dtype=torch.bool)
    >>> MultinomialLogit(no_click=0.0).click_probability(torch.tensor([[0.0, 0.6931472]]), shown)  # 1 and 2 of 4
    tensor([[0.2500, 0.5000]])
    """

    no_click: float = 0.0

    def choice_log_prob(self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"]) -> Float[Tensor, "B S1"]:
        """See `SingleChoice.choice_log_prob`."""
        return choice_log_prob(scores, shown, scores.new_full((len(scores),), self.no_click))
