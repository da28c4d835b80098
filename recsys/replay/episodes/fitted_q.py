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
from recsys.ranges import above, at_least, within
from recsys.replay.episodes.batch import EpisodeBatch
from recsys.replay.episodes.fitted_models import ValueFit, ValueModel


@dataclass(frozen=True)
class Transitions:
    """`m` steps of episodes whose consequence is known.

    Args:
        context: `[m, F]`, state `s`.
        action: `[m]`, `a`.
        reward: `[m]`, `r`.
        next_context: `[m, F]`, next state `s'`; 0 where the episode ended.
        next_target: `[m, A]`, `π(· | s')`; 0 where the episode ended, so that its future value is 0.
    """

    context: Float[Tensor, "m F"]
    action: Int[Tensor, " m"]
    reward: Float[Tensor, " m"]
    next_context: Float[Tensor, "m F"]
    next_target: Float[Tensor, "m A"]

    @classmethod
    def of(cls, episodes: EpisodeBatch) -> Transitions:
        """Return the transitions of all episodes.

        The last action of a truncated episode is left out; its state is the next state of the action before.

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
    """A linear model of the value, `q(s, a) = θ_a · s`.

    Args:
        coefficients: `[A, F]`, `θ`.
    """

    coefficients: Float[Tensor, "A F"]

    @override
    def __call__(self, context: Float[Tensor, "m F"]) -> Float[Tensor, "m A"]:
        return context @ self.coefficients.T


@dataclass(frozen=True)
class BellmanSums:
    """Sums over transitions that determine a linear fitted Q; the sums of parts of a log are added.

    `φ` holds `s` in the block of action `a`; `φ'` holds `π(a' | s') s'` in the block of every action `a'`.

    Args:
        gram: `[A F, A F]`, `Σ φ φᵀ`.
        onward: `[A F, A F]`, `Σ φ φ'ᵀ`.
        reward_sums: `[A F]`, `Σ φ r`.
        actions: `A`.
    """

    gram: Float[Tensor, "AF AF"]
    onward: Float[Tensor, "AF AF"]
    reward_sums: Float[Tensor, " AF"]
    actions: int

    @classmethod
    def of(cls, episodes: EpisodeBatch) -> BellmanSums:
        """Return the sums over all transitions of the episodes.

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
        return BellmanSums(gram, onward, self.reward_sums + other.reward_sums, self.actions)


@dataclass(frozen=True)
class LinearFittedQ(ValueFit):
    """Learn a linear `q` by fitted-Q evaluation, solved from sums.

    It repeats `θ ← argmin_θ Σ (r + γ Σ_a' π(a' | s') q(s', a') − θ_a · s)² + λ |θ|²` until `θ` converges. With one
    indicator feature a state (a table), the result is the value of `π` in the world with the log's mean rewards and
    transition frequencies; an action never seen in a state has value 0. If episodes end at a fixed step, make the step
    part of the state. With features that states share, the iteration may diverge, because the log's states are not
    those of the policy. Source: Le, Voloshin, Yue 2019, "Batch policy learning under constraints".

    Args:
        discount: `γ`, in [0, 1]; below 1 unless episodes end.
        ridge: `λ`, at least 0; with 0, the shortest of the best `θ`.
        iterations: largest number of iterations.
        tolerance: largest change of a coefficient that counts as converged, relative to the largest coefficient.
    """

    discount: float = 1.0
    ridge: float = 0.0
    iterations: int = 10_000
    tolerance: float = 1e-10

    def __post_init__(self) -> None:
        within(0, 1, discount=self.discount)
        at_least(0, ridge=self.ridge)
        at_least(1, iterations=self.iterations)
        above(0, tolerance=self.tolerance)

    @override
    def __call__(self, episodes: EpisodeBatch) -> LinearQ:
        return self.solve(BellmanSums.of(episodes))

    def solve(self, sums: BellmanSums) -> LinearQ:
        """Return the model from the sums of one log, or from merged sums.

        Raises:
            RequestError: the values do not converge.
        """
        inverse = torch.linalg.pinv(sums.gram + self.ridge * torch.eye(len(sums.gram)).to(sums.gram), hermitian=True)
        constant, onward = inverse @ sums.reward_sums, self.discount * inverse @ sums.onward
        found = constant
        for _ in range(self.iterations):
            before, found = found, constant + onward @ found
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
    """The methods of a scikit-learn regressor that are used."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> Any:
        """Fit the regressor to features and targets."""
        ...

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return one prediction a row."""
        ...


@dataclass(frozen=True)
class RegressedQ(ValueModel):
    """A model of the value by a regressor of the state and one indicator for each action.

    Args:
        regressor: fitted regressor.
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
    """Learn `q` by fitted-Q evaluation with a new regressor in each iteration, for a fixed number of iterations.

    After `k` iterations the model is the value of the next `k` steps; the missing rest is at most `γ^k / (1 − γ)` times
    the largest reward. Source: Le, Voloshin, Yue 2019, "Batch policy learning under constraints".

    Args:
        regressor: returns a new regressor.
        discount: `γ`, in [0, 1].
        iterations: `k`, at least 1; the number of steps of the longest episode suffices if all episodes ended.

    Raises:
        RequestError: there are fewer than one iteration.
    """

    regressor: Callable[[], Regressor]
    discount: float = 1.0
    iterations: int = 100

    def __post_init__(self) -> None:
        within(0, 1, discount=self.discount)
        at_least(1, iterations=self.iterations)

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
