"""Click models of ranked slates: cascade, dependent click and position-based."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from typing_extensions import override

from recsys.ranges import shares_of_slots, within
from recsys.simulate.choice_models import ChoiceModel, SingleChoice


@dataclass(frozen=True)
class CascadeModel(SingleChoice):
    """`P(k) = γ a_k Π_{j<k} (1 − γ a_j)` with attractiveness `a = attraction(score)`.

    Source: Craswell et al. 2008, "An experimental comparison of click position-bias models". Attention as in RecSim's
    `CascadeChoiceModel`: a user overlooks each item with probability `1 − γ`, and reads on.

    Args:
        attention: `γ`, in [0, 1].
        attraction: from a score to the probability that a user who looks at the item clicks it, in [0, 1].

    >>> shown, score = torch.ones(1, 3, dtype=torch.bool), torch.zeros(1, 3)
    >>> CascadeModel().click_probability(score, shown)
    tensor([[0.5000, 0.2500, 0.1250]])
    """

    attention: float = 1.0
    attraction: Callable[[Tensor], Tensor] = torch.sigmoid

    def __post_init__(self) -> None:
        within(0, 1, attention=self.attention)

    @override
    def choice_log_prob(self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"]) -> Float[Tensor, "B S1"]:
        click = (self.attention * self.attraction(scores)).masked_fill(~shown, 0)
        passed = torch.log1p(-click).cumsum(1)
        before = torch.cat([passed.new_zeros(len(scores), 1), passed[:, :-1]], 1)
        return torch.cat([click.log() + before, passed[:, -1:]], 1)


@dataclass(frozen=True)
class DependentClickModel(ChoiceModel):
    """A user reads from the top, clicks item `k` with probability `a_k`, and after a click reads on with `λ_k`.

    Without a click the user always reads on. Source: Guo, Liu, Wang 2009, "Efficient multiple-click models in web
    search".

    Args:
        persistence: `λ_k`, in [0, 1], for each slot of the longest slate.
        attraction: from a score to the probability that a user who looks at the item clicks it, in [0, 1].

    >>> shown, score = torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 2)
    >>> DependentClickModel(persistence=(0.5, 0.5)).click_probability(score, shown)  # (½ + ½ · ½) · ½ at the second
    tensor([[0.5000, 0.3750]])
    """

    persistence: Sequence[float]
    attraction: Callable[[Tensor], Tensor] = torch.sigmoid

    def __post_init__(self) -> None:
        shares_of_slots("persistence", self.persistence)

    @override
    def sample(
        self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"], generator: torch.Generator
    ) -> Bool[Tensor, "B S"]:
        """Draw what each user would click and where they would stop, and leave out what comes after the first stop."""
        attraction, persistence = self._parts(scores, shown)
        draws = torch.rand(2, *scores.shape, generator=generator, device=scores.device, dtype=scores.dtype)
        liked = draws[0] < attraction
        stops = liked & (draws[1] >= persistence)
        stopped_above = stops.cumsum(1) - stops.long() > 0
        return liked & ~stopped_above

    @override
    def click_probability(self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"]) -> Float[Tensor, "B S"]:
        attraction, persistence = self._parts(scores, shown)
        goes_on = 1 - attraction * (1 - persistence)
        return attraction * torch.cat([torch.ones_like(goes_on[:, :1]), goes_on[:, :-1].cumprod(1)], 1)

    @override
    def log_prob(
        self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"], clicks: Bool[Tensor, "B S"]
    ) -> Float[Tensor, " B"]:
        """Return the log-probability (nats) of the clicks of each slate.

        Behind the last click either the user stopped there, or nothing that follows was liked.
        """
        attraction, persistence = self._parts(scores, shown)
        skipped = torch.log1p(-attraction)
        after = clicks.flip(1).cumsum(1).flip(1) == 0
        last = clicks & (clicks.cumsum(1) == clicks.sum(1, keepdim=True))
        before = torch.where(clicks, attraction.log() + persistence.log().masked_fill(last, 0), skipped)
        nothing_follows = torch.where(after, skipped, 0).sum(1)
        at_last = torch.where(last, persistence, 0).sum(1)
        ends = torch.where(clicks.any(1), torch.log1p(-at_last * (1 - nothing_follows.exp())), nothing_follows)
        return before.masked_fill(after, 0).sum(1) + ends

    def _parts(self, scores: Tensor, shown: Tensor) -> tuple[Tensor, Tensor]:
        if scores.shape[1] > len(self.persistence):
            raise ValueError(f"{scores.shape[1]} slots, but persistence gives {len(self.persistence)}")
        persistence = torch.tensor(self.persistence[: scores.shape[1]], device=scores.device, dtype=scores.dtype)
        return self.attraction(scores).masked_fill(~shown, 0), persistence.expand(scores.shape)


@dataclass(frozen=True)
class PositionBasedModel(ChoiceModel):
    """`P(click at k) = examination_k · a_k` with attractiveness `a = attraction(score)`; slots are independent.

    Source: Richardson, Dominowska, Ragno 2007, "Predicting clicks: estimating the click-through rate for new ads".

    Args:
        examination: the probability that slot `k` is looked at, in [0, 1], for each slot of the longest slate.
        attraction: from a score to the probability that a user who looks at the item clicks it, in [0, 1].

    >>> shown, score = torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 2)
    >>> PositionBasedModel(examination=(1.0, 0.5)).click_probability(score, shown)
    tensor([[0.5000, 0.2500]])
    """

    examination: Sequence[float]
    attraction: Callable[[Tensor], Tensor] = torch.sigmoid

    def __post_init__(self) -> None:
        shares_of_slots("examination", self.examination)

    @override
    def sample(
        self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"], generator: torch.Generator
    ) -> Bool[Tensor, "B S"]:
        draw = torch.rand(scores.shape, generator=generator, device=scores.device, dtype=scores.dtype)
        return draw < self.click_probability(scores, shown)

    @override
    def click_probability(self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"]) -> Float[Tensor, "B S"]:
        """Return the probability that each slot is clicked.

        Raises:
            ValueError: the slate has more slots than `examination`.
        """
        if scores.shape[1] > len(self.examination):
            raise ValueError(f"{scores.shape[1]} slots, but examination gives {len(self.examination)}")
        looked_at = torch.tensor(self.examination[: scores.shape[1]], device=scores.device, dtype=scores.dtype)
        return (looked_at * self.attraction(scores)).masked_fill(~shown, 0)

    @override
    def log_prob(
        self, scores: Float[Tensor, "B S"], shown: Bool[Tensor, "B S"], clicks: Bool[Tensor, "B S"]
    ) -> Float[Tensor, " B"]:
        click = self.click_probability(scores, shown)
        return torch.where(clicks, click.log(), torch.log1p(-click)).sum(1)
