"""What a policy did earn on its own log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Earned(Protocol):
    """Logged rounds, slates or episodes."""

    @property
    def reward(self) -> Float[Tensor, "n *S"]:
        """`[n]` or `[n, S]`, 0 where there is nothing."""
        ...


@dataclass(frozen=True)
class Total:
    """`(1, Σ r)` a row."""

    def __call__(self, batch: Earned) -> Float[Tensor, "n 2"]:
        """See `Terms`."""
        earned = batch.reward.double().flatten(1).sum(1) if batch.reward.ndim > 1 else batch.reward.double()
        return torch.stack([torch.ones_like(earned), earned], 1)


@dataclass(frozen=True)
class OnPolicy:
    """`Σ r / n`: the value of the policy that wrote the log.

    >>> from recsys.data.logged_actions import LoggedActions
    >>> logged = LoggedActions(torch.arange(2), torch.tensor([0, 1]), torch.tensor([1.0, 0.0]))
    >>> float(OnPolicy().value(OnPolicy().terms(logged).sum(0)))
    0.5
    """

    terms: Total = Total()

    def weight(self, batch: Any) -> Float[Tensor, " n"]:
        """See `Estimator`."""
        return torch.ones(len(batch), dtype=torch.float64)

    def value(self, totals: Float[Tensor, "*R 2"]) -> Float[Tensor, "*R"]:
        """See `Estimator`."""
        count, earned = totals.unbind(-1)
        return earned / count
