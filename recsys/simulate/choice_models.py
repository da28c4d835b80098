"""The choice model contract, and multinomial choice of one item of a slate."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from typing_extensions import override

from recsys.models.slates.choice import choice_log_prob
from recsys.ranges import at_least, finite


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
        """Return the probability that each slot is clicked, in [0, 1]."""
        ...

    def log_prob(
        self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"], clicks: Bool[Tensor, "B S"]
    ) -> Float[Tensor, " B"]:
        """Return the log-probability (nats) of the clicks of each slate; −inf if they cannot happen; with gradient."""
        ...


class SingleChoice(ChoiceModel, ABC):
    """One categorical draw over the slots and no click; subclasses give its probabilities."""

    @abstractmethod
    def choice_log_prob(self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"]) -> Float[Tensor, "B S1"]:
        """Return `[B, S + 1]`, nats: each slot, then no click; −inf where nothing is shown; sums to 1."""

    @override
    def sample(
        self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"], generator: torch.Generator
    ) -> Bool[Tensor, "B S"]:
        """Draw each slate's click: the first slot at which the running sum of probabilities exceeds a uniform draw."""
        below = self.click_probability(scores, shown).cumsum(1)
        draw = torch.rand(len(scores), 1, generator=generator, device=scores.device, dtype=scores.dtype)
        chosen = (below <= draw).sum(1, keepdim=True)
        return (torch.arange(scores.shape[1], device=scores.device) == chosen) & shown

    @override
    def click_probability(self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"]) -> Float[Tensor, "B S"]:
        return self.choice_log_prob(scores, shown)[:, :-1].exp()

    @override
    def log_prob(
        self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"], clicks: Bool[Tensor, "B S"]
    ) -> Float[Tensor, " B"]:
        """Return the log-probability (nats) of the clicks of each slate; −inf for more than one click."""
        count = clicks.sum(1)
        slot = torch.where(count > 0, clicks.long().argmax(1), scores.shape[1])
        chosen = self.choice_log_prob(scores, shown).gather(1, slot.unsqueeze(1)).squeeze(1)
        return chosen.masked_fill(count > 1, float("-inf"))


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

    def __post_init__(self) -> None:
        if self.no_click != -math.inf:
            finite(no_click=self.no_click)

    @override
    def choice_log_prob(self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"]) -> Float[Tensor, "B S1"]:
        return choice_log_prob(scores, shown, scores.new_full((len(scores),), self.no_click))


@dataclass(frozen=True)
class MultinomialProportional(SingleChoice):
    """`P(k) = (score_k − least) / ((no_click − least) + Σ_j (score_j − least))`.

    Source: `MultinomialProportionalChoiceModel` of RecSim (Ie et al. 2019, "RecSim: A Configurable Simulation Platform
    for Recommender Systems"); the defaults are those of its interest evolution.

    Args:
        no_click: score of not clicking.
        least: subtracted from every score, so that none is negative; a score below it counts as `least`.

    >>> shown = torch.ones(1, 2, dtype=torch.bool)
    >>> MultinomialProportional().click_probability(torch.tensor([[0.0, 1.0]]), shown)  # 1 and 2 of 1 + 2 + 2
    tensor([[0.2000, 0.4000]])
    """

    no_click: float = 1.0
    least: float = -1.0

    def __post_init__(self) -> None:
        finite(least=self.least, no_click=self.no_click)
        at_least(self.least, no_click=self.no_click)

    @override
    def choice_log_prob(self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"]) -> Float[Tensor, "B S1"]:
        weight = (scores - self.least).clamp(min=0).masked_fill(~shown, 0)
        every = torch.cat([weight, weight.new_full((len(scores), 1), self.no_click - self.least)], 1)
        return every.log() - every.sum(1, keepdim=True).log()
