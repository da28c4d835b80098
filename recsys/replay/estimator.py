"""The one contract of every estimator of what a policy would have earned."""

from __future__ import annotations

from typing import Protocol, TypeVar, runtime_checkable

from jaxtyping import Float
from torch import Tensor

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
