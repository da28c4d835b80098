"""DR with a reward model that was fitted for little variance of DR, not for little error everywhere."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from jaxtyping import Float
from torch import Tensor

from recsys.replay.doubly_robust import DR, Modelled
from recsys.replay.estimator import Terms
from recsys.replay.rounds import Rounds
from recsys.replay.weights import Plain, Weights


def variance_weight(rounds: Rounds) -> Float[Tensor, " n"]:
    """`π(a | x)² (1 − p(a | x)) / p(a | x)²`, how much a round's squared error counts in the fit.

    The variance that `q` adds to DR in a context is `Σ_a π² (1 − p) / p · δ²` less `Σ_{a ≠ b} π(a) π(b) δ(a) δ(b)`,
    with `δ = E[r] − q`. The first sum is the mean of these weights times the squared error over logged rounds; the
    second is 0 for a policy that always answers alike and is left out for others.

    >>> import torch
    >>> variance_weight(Rounds(*map(torch.tensor, ([0], [1.0], [0.25], [0.5]))))  # .25 · .75 / .0625
    tensor([3.], dtype=torch.float64)
    """
    return rounds.weight.square() * (1 - rounds.logging)


@dataclass(frozen=True)
class MoreRobust:
    """`Modelled` with the predictions of `Rounds.robust_all`.

    Args:
        weights: `w`.
    """

    weights: Weights[Any] = field(default_factory=Plain)

    def __call__(self, batch: Rounds) -> Float[Tensor, "n 4"]:
        """See `Terms`."""
        return Modelled(self.weights)(replace(batch, predicted_all=batch.need("robust_all")))


@dataclass(frozen=True)
class MRDR(DR):
    """`DR` with `Rounds.robust_all` for `q`, the predictions of a model that was fitted with `variance_weight`.

    Unbiased where `DR` is. Source: Farajtabar, Chow, Ghavamzadeh 2018, "More robust doubly robust off-policy
    evaluation".

    Args:
        weights: `w`.
    """

    @property
    def terms(self) -> Terms[Any]:
        """See `Estimator`."""
        return MoreRobust(self.weights)
