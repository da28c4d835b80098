"""Pairs of slates of which one is preferred."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from recsys.types.context import Context
from recsys.types.record import TensorRecord
from recsys.types.slates import Slates


@dataclass(frozen=True)
class PreferencePairs(TensorRecord):
    """A better and a worse slate for each of `B` requests.

    Args:
        context: the requests as a policy sees them.
        better: the preferred slates, `G = 1`.
        worse: the other slates, `G = 1`.
        weight: `[B]`, weight of each pair, at least 0.
    """

    context: Context
    better: Slates
    worse: Slates
    weight: Float[Tensor, " B"]

    def __len__(self) -> int:
        return len(self.context)
