"""Logged rounds whose action is a number: a price, a bid, a dose."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from recsys.errors import RequestError


@dataclass(frozen=True)
class ContinuousRounds:
    """`n` rounds, in float64, beside what a policy to be judged would have done. `Rounds` has no densities.

    Args:
        action: `[n]`, `a`, what was chosen.
        reward: `[n]`, `r`, what it earned.
        density: `[n]`, `p(a | x)`, above 0, of the logging policy at what was chosen, per unit of the action.
        target: `[n]`, `τ(x)`, what the policy to be judged chooses.
        user: `[n]`, whose rounds depend on each other, from 0; None where each round stands alone.
        predicted_at: `[n, 2]`, what a reward model expects at `a` and at `τ(x)`.
    """

    action: Float[Tensor, " n"]
    reward: Float[Tensor, " n"]
    density: Float[Tensor, " n"]
    target: Float[Tensor, " n"]
    user: Int[Tensor, " n"] | None = None
    predicted_at: Float[Tensor, "n 2"] | None = None

    def __len__(self) -> int:
        return len(self.action)

    @property
    def predicted(self) -> Float[Tensor, " n"]:
        """`[n]`, `q(x, a)` of what was chosen."""
        return self._model()[:, 0]

    @property
    def expected(self) -> Float[Tensor, " n"]:
        """`[n]`, `q(x, τ(x))`."""
        return self._model()[:, 1]

    def _model(self) -> Float[Tensor, "n 2"]:
        if self.predicted_at is None:
            raise RequestError("this estimator needs a reward model's predictions, which are not there")
        return self.predicted_at
