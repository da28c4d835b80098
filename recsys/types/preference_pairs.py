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
        context: what a policy may see of the requests.
        better: `G = 1`, the preferred slates.
        worse: `G = 1`, the others.
        weight: `[B]`, at least 0: how much a pair counts.
    """

    context: Context
    better: Slates
    worse: Slates
    weight: Float[Tensor, " B"]

    def __len__(self) -> int:
        return len(self.context)
