"""Models of how a log's actions were chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from typing_extensions import override

Predict = Callable[[Float[Tensor, "n F"]], Float[Tensor, "n A"]]
"""Contexts → probability of each action, each row summing to 1."""


@runtime_checkable
class PropensityModel(Protocol):
    """Something that learns from contexts and choices."""

    def fit(self, context: Float[Tensor, "n F"], action: Int[Tensor, " n"], num_actions: int) -> Predict:
        """What it has learnt.

        Args:
            context: of rounds; `F` is 0 where there is none.
            action: what was chosen.
            num_actions: `A`, of which some may not have been chosen.
        """
        ...


@dataclass(frozen=True)
class FrequencyPropensity(PropensityModel):
    """The share of each action, whatever the context.

    >>> FrequencyPropensity().fit(torch.zeros(4, 0), torch.tensor([0, 1, 1, 1]), 3)(torch.zeros(1, 0)).tolist()
    [[0.25, 0.75, 0.0]]
    """

    @override
    def fit(self, context: Float[Tensor, "n F"], action: Int[Tensor, " n"], num_actions: int) -> Predict:
        share = torch.bincount(action, minlength=num_actions).double() / len(action)
        return lambda context: share.expand(len(context), -1)


@dataclass(frozen=True)
class LogisticPropensity(PropensityModel):
    """Multinomial logistic regression on standardised contexts.

    Args:
        penalty: strength of the L2 penalty on coefficients, above 0; 1 is scikit-learn's default.
        iterations: of the optimiser, at most.
    """

    penalty: float = 1.0
    iterations: int = 300

    @override
    def fit(self, context: Float[Tensor, "n F"], action: Int[Tensor, " n"], num_actions: int) -> Predict:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=1 / self.penalty, max_iter=self.iterations))
        return _classified(model, context, action, num_actions)


def _classified(model: Any, context: Tensor, action: Tensor, num_actions: int) -> Predict:
    """A classifier's probabilities of all actions; those that it never saw have 0."""
    if not context.shape[1] or len(action.unique()) < 2:
        return FrequencyPropensity().fit(context, action, num_actions)
    model.fit(context.numpy(), action.numpy())
    classes = torch.from_numpy(model.classes_)

    def predict(context: Tensor) -> Tensor:
        found = torch.zeros(len(context), num_actions, dtype=torch.float64)
        found[:, classes] = torch.from_numpy(model.predict_proba(context.numpy())).double()
        return found

    return predict
