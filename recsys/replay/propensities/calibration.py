"""Calibrators of estimated propensities, and how well propensities agree with the log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import polars as pl
import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import minimize_scalar
from torch import Tensor
from typing_extensions import override

Calibrate = Callable[[Float[Tensor, "n A"]], Float[Tensor, "n A"]]
"""A function from probabilities to calibrated probabilities; rows sum to 1."""

SMALLEST = 1e-12
"""Smallest probability whose logarithm is taken."""


@runtime_checkable
class Calibrator(Protocol):
    """A method that learns to correct a model's probabilities from what was chosen."""

    def fit(self, probability: Float[Tensor, "n A"], action: Int[Tensor, " n"]) -> Calibrate:
        """Return the learnt correction.

        Args:
            probability: probability of each action, by a model that has not seen these rounds.
            action: chosen action of each round.
        """
        ...


@dataclass(frozen=True)
class Uncalibrated(Calibrator):
    """Leave probabilities as they are."""

    @override
    def fit(self, probability: Float[Tensor, "n A"], action: Int[Tensor, " n"]) -> Calibrate:
        return lambda probability: probability


@dataclass(frozen=True)
class TemperatureCalibrator(Calibrator):
    """Calibrate probabilities by a temperature: `p^{1/T}`, renormalised, with the `T` of the largest likelihood.

    Source: Guo, Pleiss, Sun, Weinberger 2017, "On calibration of modern neural networks".

    Args:
        widest: `T` lies between `1 / widest` and `widest`.
    """

    widest: float = 20.0

    @override
    def fit(self, probability: Float[Tensor, "n A"], action: Int[Tensor, " n"]) -> Calibrate:
        logs, span = probability.clamp(min=SMALLEST).log(), torch.tensor(self.widest).log().item()

        def surprise(logarithm: float) -> float:
            """Mean negative log-likelihood, nats."""
            scaled = (logs * torch.exp(torch.tensor(-logarithm))).log_softmax(1)
            return -float(scaled.gather(1, action.unsqueeze(1)).mean())

        power = torch.exp(torch.tensor(-minimize_scalar(surprise, bounds=(-span, span), method="bounded").x))
        return lambda probability: (probability.clamp(min=SMALLEST).log() * power).softmax(1)


EDGES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Edges of the bins of a reliability table, finer where the probabilities of many actions lie."""


@dataclass
class PropensityCalibration:
    """Sums that tell how well propensities agree with a log; rounds are added in any order.

    If propensities are right, the mean of `1 / p` of the chosen actions is the mean number of possible actions, and in
    every bin of the reliability table the share that was chosen equals the mean probability.

    >>> calibration = PropensityCalibration()
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
        """Add rounds of which the propensity of the chosen action is known.

        Args:
            propensity: propensity of the chosen action, in (0, 1].
            offered: number of actions that could be chosen.
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
        """Add rounds of which the probability of every action is known.

        Args:
            probability: probability of each action.
            action: chosen action.
            candidates: true at the actions that could be chosen; None where all could.
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
        """Return the mean of `1 / p` of the chosen actions."""
        return self.inverses / self.rounds

    @property
    def inverse_error(self) -> float:
        """Return the standard error of that mean for independent rounds; NaN with fewer than two."""
        if self.rounds < 2:
            return float("nan")
        spread = max(self.squares - self.rounds * self.inverse**2, 0.0)
        return (spread / (self.rounds - 1) / self.rounds) ** 0.5

    @property
    def actions(self) -> float:
        """Return the mean number of actions that could be chosen."""
        return self.offered / self.rounds

    @property
    def error(self) -> float:
        """Return the expected calibration error, the mean gap of the bins of all pairs of round and action.

        It is NaN if no round with every action's probability was added.
        """
        count, predicted, chosen = self.bins
        return float((predicted - chosen).abs().sum() / count.sum())

    def table(self) -> pl.DataFrame:
        """Return the reliability table, one row a bin that is not empty.

        The columns are `low`, `high`, `pairs` of round and action, `predicted` and `chosen`.
        """
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
