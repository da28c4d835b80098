"""How far propensities agree with what was chosen."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

EDGES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Ends of the bins of a reliability table, fine where probabilities of many actions lie."""


@dataclass
class Calibration:
    """Sums over rounds; rounds are added in any parts.

    If propensities are right, the mean of `1 / p` of what was chosen is the mean number of actions that could be, and
    in every bin of the reliability table the share that was chosen is the mean probability.

    >>> calibration = Calibration()
    >>> calibration.add(torch.tensor([0.5, 0.25]), torch.tensor([2, 2]))
    >>> calibration.inverse, calibration.actions, round(calibration.inverse_error, 3)
    (3.0, 2.0, 1.0)
    """

    rounds: int = 0
    inverses: float = 0.0
    squares: float = 0.0
    offered: float = 0.0
    bins: Float[Tensor, "3 bins"] = field(default_factory=lambda: torch.zeros(3, len(EDGES) - 1, dtype=torch.float64))

    def add(self, propensity: Float[Tensor, " n"], offered: Int[Tensor, " n"]) -> None:
        """Rounds of which the propensity of what was chosen is known.

        Args:
            propensity: in (0, 1].
            offered: how many actions could be chosen.
        """
        inverse = 1 / propensity.double()
        self.rounds += len(propensity)
        self.inverses += float(inverse.sum())
        self.squares += float(inverse.square().sum())
        self.offered += float(offered.sum())

    def add_all(
        self,
        probability: Float[Tensor, "n A"],
        action: Int[Tensor, " n"],
        candidates: Bool[Tensor, "n A"] | None = None,
    ) -> None:
        """Rounds of which every action's probability is known; actions that are no candidates do not count.

        Args:
            probability: of each action.
            action: what was chosen.
            candidates: true at what could be chosen; None where everything could.
        """
        legal = torch.ones_like(probability, dtype=torch.bool) if candidates is None else candidates
        self.add(probability.gather(1, action.unsqueeze(1)).squeeze(1), legal.sum(1))
        chosen = torch.zeros_like(probability).scatter_(1, action.unsqueeze(1), 1.0)
        inner = torch.tensor(EDGES[1:-1], dtype=probability.dtype)
        place = torch.bucketize(probability[legal], inner, right=True)
        values = torch.stack([torch.ones_like(probability[legal]), probability[legal], chosen[legal]])
        self.bins.index_add_(1, place, values.double())

    @property
    def inverse(self) -> float:
        """Mean of `1 / p` of what was chosen."""
        return self.inverses / self.rounds

    @property
    def inverse_error(self) -> float:
        """Standard error of that mean, rounds taken as independent; NaN with fewer than two."""
        if self.rounds < 2:
            return float("nan")
        spread = max(self.squares - self.rounds * self.inverse**2, 0.0)
        return (spread / (self.rounds - 1) / self.rounds) ** 0.5

    @property
    def actions(self) -> float:
        """Mean number of actions that could be chosen."""
        return self.offered / self.rounds

    @property
    def error(self) -> float:
        """Expected calibration error: mean over pairs of round and action of their bin's gap; NaN where unknown."""
        count, predicted, chosen = self.bins
        return float((predicted - chosen).abs().sum() / count.sum())

    def table(self) -> pl.DataFrame:
        """One row a bin that is not empty: `low`, `high`, `pairs` of round and action, `predicted`, `chosen`."""
        count, predicted, chosen = self.bins
        rows = pl.DataFrame(
            {
                "low": EDGES[:-1],
                "high": EDGES[1:],
                "pairs": count.long().tolist(),
                "predicted": (predicted / count).tolist(),
                "chosen": (chosen / count).tolist(),
            }
        )
        return rows.filter(pl.col("pairs") > 0)
