"""Importance weights of single actions: plain, clipped, switched, shrunk or estimated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from recsys.errors import ConfigurationError
from recsys.ranges import above, at_least, within
from recsys.replay.actions.batch import BanditBatch
from recsys.replay.estimator import Batch


@runtime_checkable
class Weights(Protocol[Batch]):
    """A weight for each round, made from or instead of `w = π(a | x) / p(a | x)`."""

    def __call__(self, rounds: Batch) -> Float[Tensor, " n"]:
        """Return the weights, at least 0.

        Raises:
            RequestError: the batch lacks a part that they need.
        """
        ...


def require(possible: bool, otherwise: str) -> None:
    """Raise a `ConfigurationError` with the message `otherwise` if a setting is not `possible`."""
    if not possible:
        raise ConfigurationError(otherwise)


@dataclass(frozen=True)
class PlainWeights(Weights[BanditBatch]):
    """The importance weights `w` themselves.

    Estimates are unbiased with them if every action that the target policy takes has a positive propensity.
    """

    @override
    def __call__(self, rounds: BanditBatch) -> Float[Tensor, " n"]:
        return rounds.weight


@dataclass(frozen=True)
class ZeroWeights(Weights[BanditBatch]):
    """Weights of 0, which leave the estimate to the reward model."""

    @override
    def __call__(self, rounds: BanditBatch) -> Float[Tensor, " n"]:
        return torch.zeros_like(rounds.reward)


@dataclass(frozen=True)
class EstimatedWeights(Weights[BanditBatch]):
    """Weights estimated from the log, `BanditBatch.estimated_weight`; see `balancing_weights`."""

    @override
    def __call__(self, rounds: BanditBatch) -> Float[Tensor, " n"]:
        return rounds.need("estimated_weight")


@dataclass(frozen=True)
class Clip(Weights[BanditBatch]):
    """Clipped weights, `min(w, limit)`.

    Source: Ionides 2008, "Truncated importance sampling".

    Args:
        limit: largest weight, above 0.
    """

    limit: float

    def __post_init__(self) -> None:
        above(0, limit=self.limit)

    @override
    def __call__(self, rounds: BanditBatch) -> Float[Tensor, " n"]:
        return rounds.weight.clamp(max=self.limit)


@dataclass(frozen=True)
class Switch(Weights[BanditBatch]):
    """Weights `w` up to a threshold and 0 above it, which leaves rarely logged actions to the reward model.

    Source: Wang, Agarwal, Dudík 2017, "Optimal and adaptive off-policy evaluation in contextual bandits".

    Args:
        threshold: largest weight that is kept, at least 0.
    """

    threshold: float

    def __post_init__(self) -> None:
        at_least(0, threshold=self.threshold)

    @override
    def __call__(self, rounds: BanditBatch) -> Float[Tensor, " n"]:
        weight = rounds.weight
        return weight * (weight <= self.threshold)


@dataclass(frozen=True)
class Shrink(Weights[BanditBatch]):
    """Weights with optimistic shrinkage, `λ w / (w² + λ)`: near `w` where `w` is small, near 0 where it is large.

    Source: Su, Dimakopoulou, Krishnamurthy, Dudík 2020, "Doubly robust off-policy evaluation with shrinkage".

    Args:
        strength: `λ`, above 0; the weights tend to `w` as it grows.
    """

    strength: float

    def __post_init__(self) -> None:
        above(0, strength=self.strength)

    @override
    def __call__(self, rounds: BanditBatch) -> Float[Tensor, " n"]:
        weight = rounds.weight
        return self.strength * weight / (weight.square() + self.strength)


@dataclass(frozen=True)
class SubGaussian(Weights[BanditBatch]):
    """Weights `w / (1 − λ + λ w)`, a weighted harmonic mean of `w` and 1, at most `1 / λ`.

    Source: Metelli, Russo, Restelli 2021, "Subgaussian and differentiable importance sampling for off-policy evaluation
    and learning", with `s = −1`.

    Args:
        share: `λ`, in [0, 1]; 0 gives `w`, 1 gives 1.
    """

    share: float

    def __post_init__(self) -> None:
        within(0, 1, share=self.share)

    @override
    def __call__(self, rounds: BanditBatch) -> Float[Tensor, " n"]:
        weight = rounds.weight
        return weight / (1 - self.share + self.share * weight)
