"""Fitted-Q evaluation, linear in given features: from sums alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.errors import RequestError
from recsys.replay.episodes.episodes import Episodes
from recsys.replay.episodes.transitions import Transitions


@dataclass(frozen=True)
class LinearQ:
    """`q(s, a) = θ_a · s`.

    Args:
        coefficients: `[A, F]`, `θ`.
    """

    coefficients: Float[Tensor, "A F"]

    def __call__(self, context: Float[Tensor, "m F"]) -> Float[Tensor, "m A"]:
        """See `ValueModel`."""
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
    def of(cls, episodes: Episodes) -> BellmanSums:
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
class LinearFittedQ:
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

    def __call__(self, episodes: Episodes) -> LinearQ:
        """See `ValueFit`."""
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
