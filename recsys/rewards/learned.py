"""Rewards from reward models, and the scalars that their heads become."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from typing_extensions import override

from recsys.errors import ConfigurationError
from recsys.models.rewards.session import SessionRewardModel
from recsys.rewards.reward import Reward
from recsys.types.example import Example
from recsys.types.slates import Slates

ROUNDINGS = 8
"""Log-odds whose deviation is below so many roundings of the largest are all alike."""


@runtime_checkable
class Scalariser(Protocol):
    """A function from the log-odds of several heads to one number a slate, by which candidates are compared.

    Attributes:
        compares_requests: whether the numbers of different requests can be compared, too.
    """

    compares_requests: bool

    def __call__(self, log_odds: Mapping[str, Float[Tensor, "B G"]], mask: Bool[Tensor, "B G"]) -> Float[Tensor, "B G"]:
        """Return one number a slate, finite where the mask is true; elsewhere it has no meaning.

        Args:
            log_odds: of each head.
            mask: the slates that exist.
        """
        ...


class WeightedScalariser(Scalariser, ABC):
    """The base of scalars in which every head has a weight.

    Args:
        weights: of heads by name; negative for what is unwanted. None weighs all heads 1.

    Raises:
        ConfigurationError: a weight is not finite, or there is none.
    """

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        self.weights = _checked(weights)


class StandardisedSum(WeightedScalariser):
    """`Σ_t w_t (f_t − mean f_t) / std f_t` over the candidates of a request: heads of any scale count alike.

    A head whose candidates are all alike, up to rounding, adds 0. The result compares candidates of one request, not
    requests.

    Args:
        weights: see `WeightedScalariser`.

    Raises:
        ConfigurationError: see `WeightedScalariser`.
    """

    compares_requests = False

    @override
    def __call__(self, log_odds: Mapping[str, Float[Tensor, "B G"]], mask: Bool[Tensor, "B G"]) -> Float[Tensor, "B G"]:
        count = mask.sum(-1, keepdim=True).clamp(min=1)
        total = torch.zeros_like(mask, dtype=torch.get_default_dtype())
        for name, weight in _weights_of(self.weights, log_odds).items():
            value = log_odds[name].masked_fill(~mask, 0.0)
            centred = (value - value.sum(-1, keepdim=True) / count).masked_fill(~mask, 0.0)
            deviation = (centred.square().sum(-1, keepdim=True) / count).sqrt()
            rounding = ROUNDINGS * torch.finfo(value.dtype).eps * value.abs().amax(-1, keepdim=True)
            differs = deviation > rounding
            total = total + weight * torch.where(differs, centred / deviation.where(differs, 1.0), 0.0)
        return total


class RankSum(WeightedScalariser):
    """`Σ_t w_t rank_t / G`, ranks from 0 (worst) within the `G` candidates of a request that exist; ties share a rank.

    Args:
        weights: see `WeightedScalariser`.

    Raises:
        ConfigurationError: see `WeightedScalariser`.
    """

    compares_requests = False

    @override
    def __call__(self, log_odds: Mapping[str, Float[Tensor, "B G"]], mask: Bool[Tensor, "B G"]) -> Float[Tensor, "B G"]:
        total = torch.zeros_like(mask, dtype=torch.get_default_dtype())
        others = mask.unsqueeze(-2)
        for name, weight in _weights_of(self.weights, log_odds).items():
            value = log_odds[name].unsqueeze(-1)
            below = (value.mT < value).to(total.dtype) + 0.5 * (value.mT == value).to(total.dtype)
            rank = (below * others).sum(-1) - 0.5
            total = total + weight * rank / mask.sum(-1, keepdim=True).clamp(min=1)
        return total.masked_fill(~mask, 0.0)


class ProbabilitySum(WeightedScalariser):
    """`Σ_t w_t σ(f_t)`: the expected feedback, comparable between requests and between models of the same labels.

    Args:
        weights: see `WeightedScalariser`.

    Raises:
        ConfigurationError: see `WeightedScalariser`.
    """

    compares_requests = True

    @override
    def __call__(self, log_odds: Mapping[str, Float[Tensor, "B G"]], mask: Bool[Tensor, "B G"]) -> Float[Tensor, "B G"]:
        weights = _weights_of(self.weights, log_odds)
        return torch.stack([weight * log_odds[name].sigmoid() for name, weight in weights.items()]).sum(0)


class ProbabilityMean(WeightedScalariser):
    """`Σ_t w_t σ(f_t) / Σ_t w_t`: what a model of several labels expects of their mean (`MeanLabel`), in [0, 1].

    It has the unit of `σ` of a head that is trained on the mean: a judge with a head a label, and a model with one head
    for all of them, can be compared. As in `MeanLabel`, a head with a negative weight counts by `1 − σ(f_t)`.

    Args:
        weights: see `WeightedScalariser`.

    Raises:
        ConfigurationError: see `WeightedScalariser`.
    """

    compares_requests = True

    @override
    def __call__(self, log_odds: Mapping[str, Float[Tensor, "B G"]], mask: Bool[Tensor, "B G"]) -> Float[Tensor, "B G"]:
        weights = _weights_of(self.weights, log_odds)
        total = torch.zeros_like(mask, dtype=torch.get_default_dtype())
        for name, weight in weights.items():
            total = total + abs(weight) * (log_odds[name] if weight > 0 else -log_odds[name]).sigmoid()
        return total / max(sum(map(abs, weights.values())), 1e-12)


class OneHead(Scalariser):
    """The log-odds of one head, such as the P-score of all kinds of feedback (`MeanLabel`).

    Args:
        head: its name.
    """

    compares_requests = True

    def __init__(self, head: str) -> None:
        self.head = head

    @override
    def __call__(self, log_odds: Mapping[str, Float[Tensor, "B G"]], mask: Bool[Tensor, "B G"]) -> Float[Tensor, "B G"]:
        return log_odds[_known(self.head, log_odds)]


class LearnedReward(nn.Module, Reward):
    """A scalar of the heads of a reward model, which is frozen and in evaluation mode.

    Args:
        model: as its training left it.
        scalariser: what the heads become.

    Attributes:
        compares_requests: of the scalariser.
    """

    order_matters = False
    bounds = None

    def __init__(self, model: SessionRewardModel, scalariser: Scalariser) -> None:
        super().__init__()
        self.model = model.requires_grad_(False)
        self.scalariser = scalariser
        self.compares_requests = scalariser.compares_requests
        self.eval()

    def train(self, mode: bool = True) -> LearnedReward:
        """Stays in evaluation mode: the model is frozen, dropout off."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, example: Example, slates: Slates) -> Float[Tensor, "B G"]:
        """`[B, G]`; the logged answer is not read."""
        value = self.scalariser(self.log_odds(example, slates), slates.mask)
        return value.masked_fill(~slates.mask, 0.0).to(slates.log_prob.dtype)

    @torch.no_grad()
    def log_odds(self, example: Example, slates: Slates) -> dict[str, Float[Tensor, "B G"]]:
        """Return the log-odds of each head by name."""
        return dict(zip(self.model.heads, self.model(example.context, slates.items).unbind(-1), strict=True))


def _checked(weights: Mapping[str, float] | None) -> dict[str, float] | None:
    if weights is None:
        return None
    found = {name: float(value) for name, value in weights.items()}
    if not found or not all(-float("inf") < value < float("inf") for value in found.values()):
        raise ConfigurationError(f"weights={found}: expected a finite number for each of one or more heads")
    return found


def _weights_of(weights: dict[str, float] | None, log_odds: Mapping[str, Tensor]) -> dict[str, float]:
    if weights is None:
        return dict.fromkeys(log_odds, 1.0)
    return {_known(name, log_odds): value for name, value in weights.items()}


def _known(name: str, log_odds: Mapping[str, Tensor]) -> str:
    if name not in log_odds:
        raise ConfigurationError(f"the reward model has no head {name!r}; it has {', '.join(log_odds)}")
    return name
