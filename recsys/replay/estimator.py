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
    """The numbers that an estimator sums over the units of a log: rounds, users, slates or episodes.

    Equal objects give equal terms: estimators that read the same sums share them.
    """

    def __call__(self, batch: Batch) -> Float[Tensor, "n k"]:
        """Return `k` numbers for each row of a batch; one of them is 1 where rows are counted.

        Raises:
            RequestError: the batch lacks a part that these terms need.
        """
        ...


@runtime_checkable
class Estimator(Protocol[Batch]):
    """An estimate that is a smooth function of sums of terms, and unchanged if all sums are multiplied by one number.

    `tests/contracts` holds every estimator to this: under the assumption that its class states, the estimate is
    unbiased, or consistent if it is a ratio, by enumeration of every log; and the sums of parts of a log merge to those
    of the whole.
    """

    @property
    def terms(self) -> Terms[Batch]:
        """Return the terms that this estimator sums."""
        ...

    def weight(self, batch: Batch) -> Float[Tensor, " n"]:
        """Return the weight of each row, for the effective sample size and the largest weight; 1 without weighting."""
        ...

    def value(self, totals: Float[Tensor, "*R k"]) -> Float[Tensor, "*R"]:
        """Return the estimate from sums of the terms; leading dimensions are logs or bootstrap replicates."""
        ...


@runtime_checkable
class HasReward(Protocol):
    """A batch of logged rounds, slates or episodes."""

    @property
    def reward(self) -> Float[Tensor, "n *S"]:
        """Return the rewards, one a row or one a slot; 0 in empty slots and after the end of an episode."""
        ...


@dataclass(frozen=True)
class OnPolicyTerms(Terms[HasReward]):
    """The terms `(1, Σ r)` of a row, with `Σ r` over its slots or steps."""

    @override
    def __call__(self, batch: HasReward) -> Float[Tensor, "n 2"]:
        earned = batch.reward.double().flatten(1).sum(1) if batch.reward.ndim > 1 else batch.reward.double()
        return torch.stack([torch.ones_like(earned), earned], 1)


@dataclass(frozen=True)
class OnPolicy(Estimator[Any]):
    """Estimate the value of the policy that wrote the log as the mean reward, `Σ r / n`.

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
