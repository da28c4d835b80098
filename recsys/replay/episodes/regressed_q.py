"""Fitted-Q evaluation with any regressor of scikit-learn's kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.errors import RequestError
from recsys.replay.episodes.episodes import Episodes
from recsys.replay.episodes.transitions import Transitions


@runtime_checkable
class Regressor(Protocol):
    """What is used of scikit-learn."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> Any:
        """Learn."""
        ...

    def predict(self, X: np.ndarray) -> np.ndarray:
        """One number a row."""
        ...


@dataclass(frozen=True)
class RegressedQ:
    """`q(s, a)` by a regressor that reads `s` and, one number each, which action it is.

    Args:
        regressor: that has learned.
        actions: `A`.
    """

    regressor: Regressor
    actions: int

    def __call__(self, context: Float[Tensor, "m F"]) -> Float[Tensor, "m A"]:
        """See `ValueModel`."""
        states = context.numpy(force=True)
        shown = np.repeat(states, self.actions, 0)
        named = np.tile(np.eye(self.actions), (len(states), 1))
        values = self.regressor.predict(np.hstack([shown, named]))
        return torch.from_numpy(np.asarray(values, np.float64)).view(len(states), self.actions)


@dataclass(frozen=True)
class RegressedFittedQ:
    """As `LinearFittedQ`, with a new regressor each time and a fixed number of times.

    After `k` iterations it is the value of the next `k` steps; what comes later is missing, at most `γ^k / (1 − γ)`
    times the largest reward. Source: Le, Voloshin, Yue 2019, "Batch policy learning under constraints".

    Args:
        regressor: makes a new one.
        discount: `γ`, in [0, 1].
        iterations: `k`, at least 1; the steps of the longest episode are enough where all ended.
    """

    regressor: Callable[[], Regressor]
    discount: float = 1.0
    iterations: int = 100

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise RequestError(f"{self.iterations} iterations of fitted-Q evaluation: give at least 1")

    def __call__(self, episodes: Episodes) -> RegressedQ:
        """See `ValueFit`."""
        steps = Transitions.of(episodes)
        actions = steps.next_target.shape[1]
        read = np.hstack([steps.context.numpy(force=True), np.eye(actions)[steps.action.numpy(force=True)]])
        model = self._learn(read, steps.reward, actions)
        for _ in range(self.iterations - 1):
            later = torch.linalg.vecdot(steps.next_target, model(steps.next_context))
            model = self._learn(read, steps.reward + self.discount * later, actions)
        return model

    def _learn(self, read: np.ndarray, goal: Float[Tensor, " m"], actions: int) -> RegressedQ:
        regressor = self.regressor()
        regressor.fit(read, goal.numpy(force=True))
        return RegressedQ(regressor, actions)
