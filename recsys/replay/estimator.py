"""The contract of every estimator, and the on-policy value as its simplest case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

Batch = TypeVar("Batch", contravariant=True)


@runtime_checkable
class Terms(Protocol[Batch]):
    """What is summed over the units of a log.

    Equal objects give equal terms, so that estimators which read the same sums share them.
    """

    def __call__(self, batch: Batch) -> Float[Tensor, "n k"]:
        """`k` numbers a row of the batch; one of them is 1 where rows are counted.

        Raises:
            RequestError: the batch has not what is needed.
        """
        ...


@runtime_checkable
class Estimator(Protocol[Batch]):
    """A value that is a smooth function of sums of terms, and does not change if every sum is multiplied alike.

    Law, held by `tests/contracts`: under the assumption that its documentation states, the estimate is unbiased, or
    consistent where it is a ratio, by enumeration of every log; sums of parts of a log merge to those of the whole.
    """

    @property
    def terms(self) -> Terms[Batch]:
        """What it reads."""
        ...

    def weight(self, batch: Batch) -> Float[Tensor, " n"]:
        """How much each row counts, for the effective sample size and the largest weight; 1 where none is weighed."""
        ...

    def value(self, totals: Float[Tensor, "*R k"]) -> Float[Tensor, "*R"]:
        """The estimate, from sums of the terms; of several logs at once."""
        ...


@runtime_checkable
class HasReward(Protocol):
    """Logged rounds, slates or episodes."""

    @property
    def reward(self) -> Float[Tensor, "n *S"]:
        """`[n]` or `[n, S]`, 0 where there is nothing."""
        ...


@dataclass(frozen=True)
class OnPolicyTerms(Terms[HasReward]):
    """`(1, Σ r)` a row."""

    @override
    def __call__(self, batch: HasReward) -> Float[Tensor, "n 2"]:
        earned = batch.reward.double().flatten(1).sum(1) if batch.reward.ndim > 1 else batch.reward.double()
        return torch.stack([torch.ones_like(earned), earned], 1)


@dataclass(frozen=True)
class OnPolicy(Estimator[Any]):
    """`Σ r / n`: the value of the policy that wrote the log.

    >>> from recsys.data.logs.batches import LoggedActions
    >>> logged = LoggedActions(torch.arange(2), torch.tensor([0, 1]), torch.tensor([1.0, 0.0]))
    >>> float(OnPolicy().value(OnPolicy().terms(logged).sum(0)))
    0.5
    """

    @property
    @override
    def terms(self) -> OnPolicyTerms:
        return OnPolicyTerms()

    @override
    def weight(self, batch: Any) -> Float[Tensor, " n"]:
        return torch.ones(len(batch), dtype=torch.float64)

    @override
    def value(self, totals: Float[Tensor, "*R 2"]) -> Float[Tensor, "*R"]:
        count, earned = totals.unbind(-1)
        return earned / count
