"""Choice models in which a slate gets one click at most."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class SingleChoice(ABC):
    """One categorical draw over the slots and no click; subclasses give its probabilities."""

    @abstractmethod
    def choice_log_prob(self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"]) -> Float[Tensor, "B S1"]:
        """`[B, S + 1]`, nats: each slot, then no click. −inf where nothing is shown; sums to 1."""

    def sample(
        self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"], generator: torch.Generator
    ) -> Bool[Tensor, "B S"]:
        """See `ChoiceModel.sample`: the first slot at which the running sum of probabilities exceeds a uniform draw."""
        below = self.click_probability(scores, shown).cumsum(1)
        draw = torch.rand(len(scores), 1, generator=generator, device=scores.device, dtype=scores.dtype)
        chosen = (below <= draw).sum(1, keepdim=True)
        return (torch.arange(scores.shape[1], device=scores.device) == chosen) & shown

    def click_probability(self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"]) -> Float[Tensor, "B S"]:
        """See `ChoiceModel.click_probability`."""
        return self.choice_log_prob(scores, shown)[:, :-1].exp()

    def log_prob(
        self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"], clicks: Bool[Tensor, "B S"]
    ) -> Float[Tensor, " B"]:
        """See `ChoiceModel.log_prob`; −inf for more than one click."""
        count = clicks.sum(1)
        slot = torch.where(count > 0, clicks.long().argmax(1), scores.shape[1])
        chosen = self.choice_log_prob(scores, shown).gather(1, slot.unsqueeze(1)).squeeze(1)
        return chosen.masked_fill(count > 1, float("-inf"))
