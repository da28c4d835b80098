"""A mean over independent rounds, from sums: what bounds without the normal approximation need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recsys.errors import RequestError
from recsys.replay.sums import Sums


@dataclass(frozen=True)
class Mean:
    """Of `n` numbers `z`.

    Args:
        units: `n`, at least 1.
        total: `Σ z`.
        square: `Σ z²`.
    """

    units: int
    total: float
    square: float

    @classmethod
    def of(cls, sums: Sums, coefficients: Sequence[float]) -> Mean:
        """Of `z = c · t`, a combination of the terms.

        Of `Weighted`, for one, `(0, 0, 1)` is `w r` and `(0, b, −1)` is `w (b − r)`; of `Modelled`, `(0, 1, 0, 1)` is
        what `DR` takes the mean of.

        Args:
            sums: of terms whose first is 1 a row, over units of one row.
            coefficients: `c`, one a term.

        Raises:
            RequestError: there is no row, or a unit has several; then the estimate is no mean over units.

        >>> import torch
        >>> Mean.of(Sums.of(torch.tensor([[1.0, 2.0, 1.0], [1.0, 0.5, 0.0]])), (0, 1, -1))  # of 1 and 0.5
        Mean(units=2, total=1.5, square=1.25)
        """
        if sums.units == 0:
            raise RequestError("bounds of a mean need at least one round: the log has none")
        if not float(sums.totals[0]) == float(sums.products[0, 0]) == sums.units:
            raise RequestError(
                f"the log has {int(sums.totals[0])} rounds of {sums.units} users: these bounds are for rounds that "
                "depend on no other; leave out the users if that is so, or take the closed form or the bootstrap"
            )
        combination = sums.totals.new_tensor(coefficients)
        return cls(sums.units, float(combination @ sums.totals), float(combination @ sums.products @ combination))

    @property
    def value(self) -> float:
        """`Σ z / n`."""
        return self.total / self.units

    @property
    def variance(self) -> float:
        """`Σ (z − z̄)² / (n − 1)`; 0 of one number."""
        return max(self.square - self.total * self.value, 0.0) / max(self.units - 1, 1)
