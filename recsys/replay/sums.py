"""What an estimate and its interval are made of: sums that stream and merge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Sums:
    """Of `k` terms over independent units: rounds, users, slates or episodes.

    Sums of parts of a log are added; the parts may be shards, processes or machines, as long as none shares a unit with
    another.

    Args:
        units: how many.
        totals: `[k]`, `Σ t`.
        products: `[k, k]`, `Σ t tᵀ`.
    """

    units: int
    totals: Float[Tensor, " k"]
    products: Float[Tensor, "k k"]

    @classmethod
    def of(cls, terms: Float[Tensor, "units k"]) -> Sums:
        """Of one row a unit.

        >>> sums = Sums.of(torch.tensor([[1.0, 2.0], [1.0, 4.0]]))
        >>> sums.units, sums.totals.tolist(), sums.products.tolist()
        (2, [2.0, 6.0], [[2.0, 6.0], [6.0, 20.0]])
        """
        terms = terms.double()
        return cls(len(terms), terms.sum(0), terms.T @ terms)

    def pick(self, terms: Sequence[int]) -> Sums:
        """Of some of the terms, by their place.

        >>> Sums.of(torch.tensor([[1.0, 2.0], [1.0, 4.0]])).pick([1]).products.tolist()
        [[20.0]]
        """
        return Sums(self.units, self.totals[list(terms)], self.products[list(terms)][:, list(terms)])

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.units + other.units, self.totals + other.totals, self.products + other.products)


def by_unit(
    terms: Float[Tensor, "n k"], unit: Tensor, totals: Float[Tensor, "before k"] | None = None
) -> Float[Tensor, "units k"]:
    """Terms of rows summed over the unit each belongs to, added to those of rows before.

    Args:
        terms: of each row.
        unit: `[n]`, of each row, from 0.
        totals: of the rows before; grows where a new unit comes.

    >>> by_unit(torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([0, 2, 0]))
    tensor([[5.],
            [0.],
            [2.]])
    """
    size = 1 + int(unit.max()) if len(unit) else 0
    if totals is None:
        totals = terms.new_zeros(size, terms.shape[1])
    elif size > len(totals):
        totals = torch.cat([totals, totals.new_zeros(max(size, 2 * len(totals)) - len(totals), terms.shape[1])])
    return totals.index_add_(0, unit, terms)
