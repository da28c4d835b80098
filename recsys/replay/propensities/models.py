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
"""A function from contexts to the probability of each action; rows sum to 1."""


@runtime_checkable
class PropensityModel(Protocol):
    """A model that learns from contexts and choices."""

    def fit(self, context: Float[Tensor, "n F"], action: Int[Tensor, " n"], num_actions: int) -> Predict:
        """Return the learnt function from contexts to probabilities.

        Args:
            context: contexts of rounds; `F` is 0 where there are none.
            action: chosen action of each round.
            num_actions: `A`; some actions may never have been chosen.
        """
        ...


@dataclass(frozen=True)
class FrequencyPropensity(PropensityModel):
    """Predict the share of each action, whatever the context.

    >>> FrequencyPropensity().fit(torch.zeros(4, 0), torch.tensor([0, 1, 1, 1]), 3)(torch.zeros(1, 0)).tolist()
    [[0.25, 0.75, 0.0]]
    """

    @override
    def fit(self, context: Float[Tensor, "n F"], action: Int[Tensor, " n"], num_actions: int) -> Predict:
        share = torch.bincount(action, minlength=num_actions).double() / len(action)
        return lambda context: share.expand(len(context), -1)


@dataclass(frozen=True)
class LogisticPropensity(PropensityModel):
    """Predict actions by multinomial logistic regression on standardised contexts.

    Args:
        penalty: strength of the L2 penalty on coefficients, above 0; 1 is scikit-learn's default.
        iterations: largest number of iterations of the optimiser.
    """

    penalty: float = 1.0
    iterations: int = 300

    @override
    def fit(self, context: Float[Tensor, "n F"], action: Int[Tensor, " n"], num_actions: int) -> Predict:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=1 / self.penalty, max_iter=self.iterations))
        return _classified(model, context, action, num_actions)


def _classified(model: Any, context: Tensor, action: Tensor, num_actions: int) -> Predict:
    """Return a classifier's probabilities of all actions; actions that it never saw have 0."""
    if not context.shape[1] or len(action.unique()) < 2:
        return FrequencyPropensity().fit(context, action, num_actions)
    model.fit(context.numpy(), action.numpy())
    classes = torch.from_numpy(model.classes_)

    def predict(context: Tensor) -> Tensor:
        """Return the probability of each action in each context."""
        found = torch.zeros(len(context), num_actions, dtype=torch.float64)
        found[:, classes] = torch.from_numpy(model.predict_proba(context.numpy())).double()
        return found

    return predict
