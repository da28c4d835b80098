"""Fitted-Q evaluation: transitions, a linear solution from sums, and any scikit-learn regressor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from recsys.errors import RequestError
from recsys.replay.episodes.batch import EpisodeBatch
from recsys.replay.episodes.fitted_models import ValueFit, ValueModel


@dataclass(frozen=True)
class Transitions:
    """`m` steps of which it is known what came after.

    Args:
        context: `[m, F]`, `s`.
        action: `[m]`, `a`.
        reward: `[m]`, `r`.
        next_context: `[m, F]`, `s'`; 0 where the episode ended.
        next_target: `[m, A]`, `π(· | s')`; 0 where the episode ended, so that nothing is expected there.
    """

    context: Float[Tensor, "m F"]
    action: Int[Tensor, " m"]
    reward: Float[Tensor, " m"]
    next_context: Float[Tensor, "m F"]
    next_target: Float[Tensor, "m A"]

    @classmethod
    def of(cls, episodes: EpisodeBatch) -> Transitions:
        """Of all episodes.

        The last action of an episode that was cut off is left out; its state is what the one before it led to.

        Raises:
            RequestError: episodes lack actions, features or probabilities, or no step is left.
        """
        context, action, target = (episodes.need(name) for name in ("context", "action", "target_all"))
        closed, goes_on = episodes.closed, _shift(episodes.mask)
        if not closed.any():
            raise RequestError("no step is known by what came after it: every episode has one step and was cut off")
        next_context, next_target = (torch.where(goes_on.unsqueeze(2), _shift(part), 0) for part in (context, target))
        parts = (context, action, episodes.reward, next_context, next_target)
        return cls(*(part[closed] for part in parts))


def _shift(part: Tensor) -> Tensor:
    return torch.cat([part[:, 1:], torch.zeros_like(part[:, :1])], 1)


@dataclass(frozen=True)
class LinearQ(ValueModel):
    """`q(s, a) = θ_a · s`.

    Args:
        coefficients: `[A, F]`, `θ`.
    """

    coefficients: Float[Tensor, "A F"]

    @override
    def __call__(self, context: Float[Tensor, "m F"]) -> Float[Tensor, "m A"]:
        return context @ self.coefficients.T


@dataclass(frozen=True)
class BellmanSums:
    """Over transitions, with `φ = s` in the block of action `a` and `φ' = Σ_a π(a | s') s'` in that of each action.

    Sums of parts of a log are added.

    Args:
        gram: `[A F, A F]`, `Σ φ φᵀ`.
        onward: `[A F, A F]`, `Σ φ φ'ᵀ`.
        earned: `[A F]`, `Σ φ r`.
        actions: `A`.
    """

    gram: Float[Tensor, "AF AF"]
    onward: Float[Tensor, "AF AF"]
    earned: Float[Tensor, " AF"]
    actions: int

    @classmethod
    def of(cls, episodes: EpisodeBatch) -> BellmanSums:
        """Of all transitions of the episodes.

        Raises:
            RequestError: episodes lack actions, features or probabilities.
        """
        steps = Transitions.of(episodes)
        actions = steps.next_target.shape[1]
        chosen = torch.nn.functional.one_hot(steps.action, actions).to(steps.context)
        now, later = _blocks(chosen, steps.context), _blocks(steps.next_target, steps.next_context)
        return cls(now.T @ now, now.T @ later, steps.reward @ now, actions)

    def __add__(self, other: BellmanSums) -> BellmanSums:
        gram, onward = self.gram + other.gram, self.onward + other.onward
        return BellmanSums(gram, onward, self.earned + other.earned, self.actions)


@dataclass(frozen=True)
class LinearFittedQ(ValueFit):
    """`θ ← argmin_θ Σ (r + γ Σ_a' π(a' | s') q(s', a') − θ_a · s)² + λ |θ|²`, repeated until it settles.

    With one feature a state, 1 where it is (a table), this is the value of `π` in the world that the log's means and
    frequencies describe; an action never seen in a state is worth 0. In a world that ends at a fixed step, let the step
    be part of the state. With features shared between states the repetition need not settle, as what is learned from
    the log's states is used at the policy's. Source: Le, Voloshin, Yue 2019, "Batch policy learning under constraints".

    Args:
        discount: `γ`, in [0, 1]; below 1 unless episodes end.
        ridge: `λ`, at least 0; 0 is the shortest of the best `θ`.
        iterations: at most.
        tolerance: largest change of a coefficient that counts as settled, relative to the largest coefficient.
    """

    discount: float = 1.0
    ridge: float = 0.0
    iterations: int = 10_000
    tolerance: float = 1e-10

    @override
    def __call__(self, episodes: EpisodeBatch) -> LinearQ:
        return self.solve(BellmanSums.of(episodes))

    def solve(self, sums: BellmanSums) -> LinearQ:
        """From sums, of one log or merged.

        Raises:
            RequestError: the values do not settle.
        """
        inverse = torch.linalg.pinv(sums.gram + self.ridge * torch.eye(len(sums.gram)).to(sums.gram), hermitian=True)
        earned, onward = inverse @ sums.earned, self.discount * inverse @ sums.onward
        found = earned
        for _ in range(self.iterations):
            before, found = found, earned + onward @ found
            if (found - before).abs().max() <= self.tolerance * found.abs().max():
                return LinearQ(found.view(sums.actions, -1))
        raise RequestError(
            f"values have not settled after {self.iterations} iterations with discount {self.discount}: "
            "give a lower discount, a ridge, more iterations, or fewer features"
        )


def _blocks(share: Float[Tensor, "m A"], context: Float[Tensor, "m F"]) -> Float[Tensor, "m AF"]:
    return (share.unsqueeze(2) * context.unsqueeze(1)).flatten(1)


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
class RegressedQ(ValueModel):
    """`q(s, a)` by a regressor that reads `s` and, one number each, which action it is.

    Args:
        regressor: that has learned.
        actions: `A`.
    """

    regressor: Regressor
    actions: int

    @override
    def __call__(self, context: Float[Tensor, "m F"]) -> Float[Tensor, "m A"]:
        states = context.numpy(force=True)
        shown = np.repeat(states, self.actions, 0)
        named = np.tile(np.eye(self.actions), (len(states), 1))
        values = self.regressor.predict(np.hstack([shown, named]))
        return torch.from_numpy(np.asarray(values, np.float64)).view(len(states), self.actions)


@dataclass(frozen=True)
class RegressedFittedQ(ValueFit):
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

    @override
    def __call__(self, episodes: EpisodeBatch) -> RegressedQ:
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
