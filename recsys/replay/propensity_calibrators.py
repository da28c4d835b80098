"""Making probabilities as sure as they are right, on rounds that the model has not seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar
from sklearn.isotonic import IsotonicRegression
from torch import Tensor

Calibrate = Callable[[Float[Tensor, "n A"]], Float[Tensor, "n A"]]
"""Probabilities → probabilities; rows sum to 1."""

SMALLEST = 1e-12
"""What stands for a probability of 0 where its logarithm is taken."""


@runtime_checkable
class Calibrator(Protocol):
    """Something that learns how far a model's probabilities are from what was chosen."""

    def fit(self, probability: Float[Tensor, "n A"], action: Int[Tensor, " n"]) -> Calibrate:
        """What it has learnt.

        Args:
            probability: of each action, by a model that has not seen these rounds.
            action: what was chosen.
        """
        ...


@dataclass(frozen=True)
class AsTheyAre:
    """Probabilities are left as they are."""

    def fit(self, probability: Float[Tensor, "n A"], action: Int[Tensor, " n"]) -> Calibrate:
        """See `Calibrator`."""
        return lambda probability: probability


@dataclass(frozen=True)
class Temperature:
    """`p^{1/T}`, renormalised, with the `T` under which what was chosen is likeliest.

    Source: Guo, Pleiss, Sun, Weinberger 2017, "On calibration of modern neural networks".

    Args:
        widest: `T` lies between `1 / widest` and `widest`.
    """

    widest: float = 20.0

    def fit(self, probability: Float[Tensor, "n A"], action: Int[Tensor, " n"]) -> Calibrate:
        """See `Calibrator`."""
        logs, span = probability.clamp(min=SMALLEST).log(), torch.tensor(self.widest).log().item()

        def surprise(logarithm: float) -> float:
            """Mean negative log-likelihood, nats."""
            scaled = (logs * torch.exp(torch.tensor(-logarithm))).log_softmax(1)
            return -float(scaled.gather(1, action.unsqueeze(1)).mean())

        power = torch.exp(torch.tensor(-minimize_scalar(surprise, bounds=(-span, span), method="bounded").x))
        return lambda probability: (probability.clamp(min=SMALLEST).log() * power).softmax(1)


@dataclass(frozen=True)
class Isotonic:
    """A rising step function from probabilities to shares, one for all actions, then renormalised.

    Source: Zadrozny and Elkan 2002, "Transforming classifier scores into accurate multiclass probability estimates".
    """

    def fit(self, probability: Float[Tensor, "n A"], action: Int[Tensor, " n"]) -> Calibrate:
        """See `Calibrator`."""
        chosen = torch.zeros_like(probability).scatter_(1, action.unsqueeze(1), 1.0)
        model = IsotonicRegression(y_min=SMALLEST, y_max=1.0, out_of_bounds="clip")
        model.fit(probability.flatten().numpy(), chosen.flatten().numpy())

        def calibrate(probability: Tensor) -> Tensor:
            """See `Calibrate`."""
            found = torch.from_numpy(model.predict(probability.flatten().numpy())).view_as(probability)
            return found / found.sum(1, keepdim=True)

        return calibrate
