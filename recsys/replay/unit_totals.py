"""Totals of each user of a log, whose rows may come in several batches."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from recsys.replay.sums import Sums, by_unit


@dataclass(frozen=True)
class UnitTotals:
    """Of `k` terms, by unit; those of parts of a log are added, whichever units the parts share.

    Args:
        rows: `[units, 1]`, how many rows of the log each unit has; units without any are not of the log.
        totals: `[units, k]`, `Σ t` over them.
    """

    rows: Float[Tensor, "units 1"]
    totals: Float[Tensor, "units k"]

    @classmethod
    def of(cls, terms: Float[Tensor, "n k"], unit: Tensor, before: UnitTotals | None = None) -> UnitTotals:
        """Of one row of the log a row, with those before, which are not to be used on.

        >>> import torch
        >>> totals = UnitTotals.of(torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([0, 2, 0]))
        >>> totals.sums.units, totals.sums.totals.tolist(), totals.sums.products.tolist()  # 5² + 2²
        (2, [7.0], [[29.0]])
        """
        ones = terms.new_ones(len(terms), 1)
        if before is None:
            return cls(by_unit(ones, unit), by_unit(terms, unit))
        return cls(by_unit(ones, unit, before.rows), by_unit(terms, unit, before.totals))

    @property
    def sums(self) -> Sums:
        """Over units."""
        return Sums.of(self.totals[self.rows.squeeze(1) > 0])

    def __add__(self, other: UnitTotals) -> UnitTotals:
        units = max(len(self.rows), len(other.rows))

        def grown(table: Tensor) -> Tensor:
            return pad(table, (0, 0, 0, units - len(table)))

        return UnitTotals(grown(self.rows) + grown(other.rows), grown(self.totals) + grown(other.totals))
