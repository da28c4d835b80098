"""Sums of an estimator's terms that stream and merge: over units, by user, and as a sample mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from recsys.errors import RequestError


@dataclass(frozen=True)
class Sums:
    """Sums of `k` terms over independent units: rounds, users, slates or episodes.

    The sums of parts of a log are added. The parts may come from several processes or machines, as long as no unit is
    in two of them.

    Args:
        units: number of units.
        totals: `[k]`, `Σ t` over units.
        products: `[k, k]`, `Σ t tᵀ` over units.
    """

    units: int
    totals: Float[Tensor, " k"]
    products: Float[Tensor, "k k"]

    @classmethod
    def of(cls, terms: Float[Tensor, "units k"]) -> Sums:
        """Return the sums of a table of terms, one row a unit.

        >>> sums = Sums.of(torch.tensor([[1.0, 2.0], [1.0, 4.0]]))
        >>> sums.units, sums.totals.tolist(), sums.products.tolist()
        (2, [2.0, 6.0], [[2.0, 6.0], [6.0, 20.0]])
        """
        terms = terms.double()
        return cls(len(terms), terms.sum(0), terms.T @ terms)

    def pick(self, terms: Sequence[int]) -> Sums:
        """Return the sums of some of the terms.

        Args:
            terms: places of the terms, from 0.

        >>> Sums.of(torch.tensor([[1.0, 2.0], [1.0, 4.0]])).pick([1]).products.tolist()
        [[20.0]]
        """
        return Sums(self.units, self.totals[list(terms)], self.products[list(terms)][:, list(terms)])

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.units + other.units, self.totals + other.totals, self.products + other.products)


def by_unit(
    terms: Float[Tensor, "n k"], unit: Tensor, totals: Float[Tensor, "before k"] | None = None
) -> Float[Tensor, "units k"]:
    """Return the terms summed over the rows of each unit, added to the totals of earlier rows.

    Args:
        terms: terms of each row.
        unit: `[n]`, number of the unit that each row belongs to, from 0.
        totals: totals of earlier rows, which are changed in place; they grow where a new unit comes.

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


GROUPS = 2**18
"""Largest number of totals that are held, 2 MiB a term.

Users beyond that number share totals, so that each total belongs to a group of users that do not depend on each other.
The variance from groups has the same expectation as that from users; it adds a relative error of `√(2 / GROUPS)`, 0.3
%.
"""


@dataclass(frozen=True)
class UnitTotals:
    """Totals of `k` terms for each unit; the totals of parts of a log are added, and a unit may be in several parts.

    Args:
        seen: `[units]`, true at the units that have a row.
        totals: `[min(units, GROUPS), k]`; row `i` is `Σ t` over the rows of the units `i`, `i + GROUPS`, `i + 2 GROUPS`
            and so on.
    """

    seen: Bool[Tensor, " units"]
    totals: Float[Tensor, "groups k"]

    @classmethod
    def of(cls, terms: Float[Tensor, "n k"], unit: Int[Tensor, " n"], before: UnitTotals | None = None) -> UnitTotals:
        """Return the totals of a batch of rows, added to those of earlier rows.

        Args:
            terms: terms of each row.
            unit: number of the unit that each row belongs to, from 0.
            before: totals of earlier rows, which are changed in place; None where there are none.

        >>> totals = UnitTotals.of(torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([0, 2, 0]))
        >>> totals.sums.units, totals.sums.totals.tolist(), totals.sums.products.tolist()  # 5² + 2²
        (2, [7.0], [[29.0]])
        """
        seen = torch.zeros(0, dtype=torch.bool) if before is None else before.seen
        missing = 1 + int(unit.max()) - len(seen) if len(unit) else 0
        if missing > 0:
            seen = pad(seen, (0, max(missing, len(seen))))
        seen[unit] = True
        return cls(seen, by_unit(terms, unit % GROUPS, None if before is None else before.totals))

    @property
    def sums(self) -> Sums:
        """Return the sums over units; the products are those of the groups of units."""
        over = Sums.of(self.totals)
        return Sums(int(self.seen.sum()), over.totals, over.products)

    def __add__(self, other: UnitTotals) -> UnitTotals:
        seen = max(len(self.seen), len(other.seen))
        groups = max(len(self.totals), len(other.totals))
        mine, yours = (pad(one.totals, (0, 0, 0, groups - len(one.totals))) for one in (self, other))
        return UnitTotals(
            pad(self.seen, (0, seen - len(self.seen))) | pad(other.seen, (0, seen - len(other.seen))), mine + yours
        )


@dataclass(frozen=True)
class SampleMean:
    """The mean of `n` numbers `z`, held as sums.

    Args:
        units: `n`, at least 1.
        total: `Σ z`.
        square: `Σ z²`.
    """

    units: int
    total: float
    square: float

    @classmethod
    def of(cls, sums: Sums, coefficients: Sequence[float]) -> SampleMean:
        """Return the mean of `z = c · t`, a linear combination of the terms.

        With `ImportanceTerms`, `c = (0, 0, 1)` gives `w r` and `c = (0, b, −1)` gives `w (b − r)`; with
        `DoublyRobustTerms`, `(0, 1, 0, 1)` gives the numbers whose mean is `DR`.

        Args:
            sums: sums of terms of which the first is 1 a row, with one row a unit.
            coefficients: `c`, one a term.

        Raises:
            RequestError: there is no row, or a unit has several rows, so that the estimate is not a mean over units.

        >>> import torch
        >>> SampleMean.of(Sums.of(torch.tensor([[1.0, 2.0, 1.0], [1.0, 0.5, 0.0]])), (0, 1, -1))  # of 1 and 0.5
        SampleMean(units=2, total=1.5, square=1.25)
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
        """Return the mean, `z̄ = Σ z / n`."""
        return self.total / self.units

    @property
    def variance(self) -> float:
        """Return the sample variance, `Σ (z − z̄)² / (n − 1)`; 0 for one number."""
        return max(self.square - self.total * self.value, 0.0) / max(self.units - 1, 1)
