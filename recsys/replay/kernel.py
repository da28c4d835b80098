"""Weights for actions that are numbers: what was logged near to what the policy would choose counts."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

from jaxtyping import Float
from torch import Tensor

from recsys.replay.continuous_rounds import ContinuousRounds
from recsys.replay.weights import require


@dataclass(frozen=True)
class Gaussian:
    """`exp(−u² / 2) / √(2π) / (h p(a | x))` with `u = (τ(x) − a) / h`.

    `IPS(Gaussian(h))`, `SNIPS(Gaussian(h))` and `DR(Gaussian(h))` estimate the reward averaged over actions around
    `τ(x)`: right where it is linear there, else off by `h² / 2` times its second derivative, to first order; the
    variance goes with `1 / h`. Where `τ(x)` is near the edge of what can be chosen, part of the kernel lies outside,
    and `IPS` is too small by that part. Source: Kallus and Zhou 2018, "Policy evaluation and optimization with
    continuous treatments".

    Args:
        bandwidth: `h`, above 0, in units of the action.

    >>> import torch
    >>> rounds = ContinuousRounds(*map(torch.tensor, ([1.0], [1.0], [0.5], [1.0])))
    >>> Gaussian(0.5)(rounds)  # .3989 / .25
    tensor([1.5958])
    """

    bandwidth: float

    def __post_init__(self) -> None:
        require(self.bandwidth > 0, f"a bandwidth is above 0, not {self.bandwidth}")

    def __call__(self, rounds: ContinuousRounds) -> Float[Tensor, " n"]:
        """See `Weights`."""
        height = (-0.5 * _distance(rounds, self.bandwidth).square()).exp() / (2 * pi) ** 0.5
        return height / (self.bandwidth * rounds.density)


@dataclass(frozen=True)
class Epanechnikov:
    """`¾ (1 − u²) / (h p(a | x))` where `|u| ≤ 1`, else 0, with `u = (τ(x) − a) / h`.

    As `Gaussian`, with a bias of `h² / 10` times the second derivative. Rounds further away than `h` do not count at
    all: with a bandwidth that is small for the log few rounds are left, or none, and then `SNIPS` is not a number and
    `IPS` is 0 with an interval of no width. Look at the effective sample size before the value. Source: Kallus and Zhou
    2018.

    Args:
        bandwidth: `h`, above 0, in units of the action.
    """

    bandwidth: float

    def __post_init__(self) -> None:
        require(self.bandwidth > 0, f"a bandwidth is above 0, not {self.bandwidth}")

    def __call__(self, rounds: ContinuousRounds) -> Float[Tensor, " n"]:
        """See `Weights`."""
        height = 0.75 * (1 - _distance(rounds, self.bandwidth).square()).clamp(min=0)
        return height / (self.bandwidth * rounds.density)


def _distance(rounds: ContinuousRounds, bandwidth: float) -> Float[Tensor, " n"]:
    return (rounds.target - rounds.action) / bandwidth
