"""Pairs of slates of which one is preferred, and what policies say of them."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from recsys.types.context import Context
from recsys.types.record import TensorRecord
from recsys.types.slates import Slates


@dataclass(frozen=True)
class PreferencePairs(TensorRecord):
    """A better slate and one or more worse slates for each of `P` requests.

    Args:
        context: the requests as a policy sees them.
        better: the preferred slates, `G = 1`.
        worse: the other slates, `G = W ≥ 1`.
        weight: `[P]`, weight of each pair, at least 0.
        consistency: `[P]`, trust in each preference in [0, 1], which `consistency_weighted` reads; None if unknown.
    """

    context: Context
    better: Slates
    worse: Slates
    weight: Float[Tensor, " P"]
    consistency: Float[Tensor, " P"] | None = None

    def __len__(self) -> int:
        return len(self.context)


@dataclass(frozen=True)
class ScoredPairs(TensorRecord):
    """Log-probabilities of preference pairs, in nats, which preference objectives learn from.

    Every slot is given the earlier slots; the log-probability of a slate is the sum over its slots.

    Args:
        better: `[P, S]`, log π_θ of each slot of the better slates, with gradient.
        worse: `[P, W, S]`, the same of the worse slates.
        weight: `[P]`, weight of each pair, at least 0.
        reference_better: `[P, S]`, log π_ref of the better slates, without gradient; None without a reference policy.
        reference_worse: `[P, W, S]`, the same of the worse slates.
        consistency: see `PreferencePairs`.
    """

    better: Float[Tensor, "P S"]
    worse: Float[Tensor, "P W S"]
    weight: Float[Tensor, " P"]
    reference_better: Float[Tensor, "P S"] | None = None
    reference_worse: Float[Tensor, "P W S"] | None = None
    consistency: Float[Tensor, " P"] | None = None

    def __len__(self) -> int:
        return len(self.weight)
