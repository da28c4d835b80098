"""Single-action estimators of whole episodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.replay.episodes.episodes import Episodes
from recsys.replay.estimator import Estimator, Terms
from recsys.replay.rounds import Rounds


def as_rounds(episodes: Episodes, discount: float) -> Rounds:
    """Each episode as a round: its reward `Σ_t γ^t r_t`, its weight the product of its ratios.

    >>> ones = torch.ones(1, 2)
    >>> rounds = as_rounds(Episodes(ones, ones / 2, ones * 0.75, ones > 0), 0.5)
    >>> rounds.reward.item(), rounds.weight.item()
    (1.5, 2.25)
    """
    weight = episodes.weight[:, -1]
    earned = episodes.known("reward") @ episodes.discounts(discount)
    return Rounds(torch.zeros_like(weight).long(), earned, torch.ones_like(weight), weight)


@dataclass(frozen=True)
class Whole:
    """The terms of a single-action estimator, of whole episodes.

    Args:
        of: its terms.
        discount: `γ`, in [0, 1].
    """

    of: Terms[Rounds]
    discount: float

    def __call__(self, batch: Episodes) -> Float[Tensor, "n k"]:
        """See `Terms`."""
        return self.of(as_rounds(batch, self.discount))


@dataclass(frozen=True)
class Trajectory:
    """A single-action estimator that weighs, of whole episodes.

    `Trajectory(IPS())` is trajectory-wise importance sampling, `Σ ρ_T Σ_t γ^t r_t / n`, `Trajectory(SNIPS())` its
    self-normalised form; other weights clip or shrink the product. What the estimator claims of rounds it claims of
    episodes. Of all here it varies most: a weight is a product over the whole episode. Source: Precup, Sutton, Singh
    2000, "Eligibility traces for off-policy policy evaluation".

    Args:
        of: the estimator; needs no model.
        discount: `γ`, in [0, 1].

    >>> from recsys.replay.importance import IPS
    >>> ones = torch.ones(1, 2)
    >>> estimator = Trajectory(IPS())
    >>> estimator.value(estimator.terms(Episodes(ones, ones / 2, ones * 0.75, ones > 0)).sum(0)).item()  # 1.5² · 2
    4.5
    """

    of: Estimator[Any]
    discount: float = 1.0

    @property
    def terms(self) -> Whole:
        """See `Estimator`."""
        return Whole(self.of.terms, self.discount)

    def weight(self, batch: Episodes) -> Float[Tensor, " n"]:
        """See `Estimator`."""
        return self.of.weight(as_rounds(batch, self.discount))

    def value(self, totals: Float[Tensor, "*R k"]) -> Float[Tensor, "*R"]:
        """See `Estimator`."""
        return self.of.value(totals)
