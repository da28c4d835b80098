"""Importance weights of single actions: plain, clipped, switched, shrunk or estimated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from recsys.errors import ConfigurationError
from recsys.replay.actions.batch import BanditBatch
from recsys.replay.estimator import Batch


@runtime_checkable
class Weights(Protocol[Batch]):
    """A number a round, from `w = π(a | x) / p(a | x)` or in its place."""

    def __call__(self, rounds: Batch) -> Float[Tensor, " n"]:
        """At least 0.

        Raises:
            RequestError: the batch has not what is needed.
        """
        ...


def require(possible: bool, otherwise: str) -> None:
    """Raise a `ConfigurationError` that says `otherwise`, unless a setting is `possible`."""
    if not possible:
        raise ConfigurationError(otherwise)


@dataclass(frozen=True)
class PlainWeights(Weights[BanditBatch]):
    """`w`, which makes estimates unbiased where every action that the policy takes had a chance."""

    @override
    def __call__(self, rounds: BanditBatch) -> Float[Tensor, " n"]:
        return rounds.weight


@dataclass(frozen=True)
class ZeroWeights(Weights[BanditBatch]):
    """0: the log's actions do not count."""

    @override
    def __call__(self, rounds: BanditBatch) -> Float[Tensor, " n"]:
        return torch.zeros_like(rounds.reward)


@dataclass(frozen=True)
class EstimatedWeights(Weights[BanditBatch]):
    """`BanditBatch.estimated_weight`, in place of `w`; see `balancing_weights`."""

    @override
    def __call__(self, rounds: BanditBatch) -> Float[Tensor, " n"]:
        return rounds.need("estimated_weight")


@dataclass(frozen=True)
class Clip(Weights[BanditBatch]):
    """`min(w, limit)`.

    Source: Ionides 2008, "Truncated importance sampling".

    Args:
        limit: above 0.
    """

    limit: float

    def __post_init__(self) -> None:
        require(self.limit > 0, f"a clip limit is above 0, not {self.limit}")

    @override
    def __call__(self, rounds: BanditBatch) -> Float[Tensor, " n"]:
        return rounds.weight.clamp(max=self.limit)


@dataclass(frozen=True)
class Switch(Weights[BanditBatch]):
    """`w` where it is at most `threshold`, else 0: what is rarely logged is left to the reward model.

    Source: Wang, Agarwal, Dudík 2017, "Optimal and adaptive off-policy evaluation in contextual bandits".

    Args:
        threshold: at least 0.
    """

    threshold: float

    def __post_init__(self) -> None:
        require(self.threshold >= 0, f"a switch threshold is at least 0, not {self.threshold}")

    @override
    def __call__(self, rounds: BanditBatch) -> Float[Tensor, " n"]:
        weight = rounds.weight
        return weight * (weight <= self.threshold)


@dataclass(frozen=True)
class Shrink(Weights[BanditBatch]):
    """`λ w / (w² + λ)`, optimistic shrinkage: near `w` where `w` is small, near 0 where it is large.

    Source: Su, Dimakopoulou, Krishnamurthy, Dudík 2020, "Doubly robust off-policy evaluation with shrinkage".

    Args:
        strength: `λ`, above 0; without bound it is `w`.
    """

    strength: float

    def __post_init__(self) -> None:
        require(self.strength > 0, f"the strength of a shrinkage is above 0, not {self.strength}")

    @override
    def __call__(self, rounds: BanditBatch) -> Float[Tensor, " n"]:
        weight = rounds.weight
        return self.strength * weight / (weight.square() + self.strength)


@dataclass(frozen=True)
class SubGaussian(Weights[BanditBatch]):
    """`w / (1 − λ + λ w)`, at most `1 / λ`: a harmonic mean of `w` and 1.

    Source: Metelli, Russo, Restelli 2021, "Subgaussian and differentiable importance sampling for off-policy
    evaluation and learning", with `s = −1`.

    Args:
        share: `λ`, in [0, 1]; 0 is `w`, 1 is 1.
    """

    share: float

    def __post_init__(self) -> None:
        require(0 <= self.share <= 1, f"the share of sub-Gaussian weights is in [0, 1], not {self.share}")

    @override
    def __call__(self, rounds: BanditBatch) -> Float[Tensor, " n"]:
        weight = rounds.weight
        return weight / (1 - self.share + self.share * weight)
