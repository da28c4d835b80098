"""Whether logged propensities can be right: what one over them averages."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.replay.rounds import Rounds


@dataclass(frozen=True)
class Inverse:
    """`(1, 1 / p)` a round."""

    def __call__(self, batch: Rounds) -> Float[Tensor, "n 2"]:
        """See `Terms`."""
        inverse = 1 / batch.logging.double()
        return torch.stack([torch.ones_like(inverse), inverse], 1)


@dataclass(frozen=True)
class InversePropensity:
    """`Σ 1 / p / n`: the number of actions that the logging policy may take, on average, where propensities are right.

    >>> rounds = Rounds(*map(torch.tensor, ([0, 1], [1.0, 1.0], [0.5, 0.5], [0.5, 0.5])))
    >>> float(InversePropensity().value(InversePropensity().terms(rounds).sum(0)))
    2.0
    """

    terms: Inverse = Inverse()

    def weight(self, batch: Rounds) -> Float[Tensor, " n"]:
        """See `Estimator`."""
        return 1 / batch.logging.double()

    def value(self, totals: Float[Tensor, "*R 2"]) -> Float[Tensor, "*R"]:
        """See `Estimator`."""
        count, inverse = totals.unbind(-1)
        return inverse / count
