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


GROUPS = 2**18
"""How many totals are held at most: 2 MiB a term.

Users beyond share them, so that each total is of a group of users who do not depend on each other. A variance from
groups has the expectation of one from users, and errs by `√(2 / GROUPS)`, .3 %, beside it.
"""


@dataclass(frozen=True)
class UnitTotals:
    """Of `k` terms, by unit; those of parts of a log are added, whichever units the parts share.

    Args:
        seen: `[units]`, whether the log has a row of each; units without any are not of the log.
        totals: `[min(units, GROUPS), k]`, `Σ t` over the rows of unit `i`, and of those `GROUPS` further on, and so on.
    """

    seen: Bool[Tensor, " units"]
    totals: Float[Tensor, "groups k"]

    @classmethod
    def of(cls, terms: Float[Tensor, "n k"], unit: Int[Tensor, " n"], before: UnitTotals | None = None) -> UnitTotals:
        """Of one row of the log a row, with those before, which are not to be used on.

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
        """Over units: how many there are, and the sums over their groups."""
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
    def of(cls, sums: Sums, coefficients: Sequence[float]) -> SampleMean:
        """Of `z = c · t`, a combination of the terms.

        Of `ImportanceTerms`, for one, `(0, 0, 1)` is `w r` and `(0, b, −1)` is `w (b − r)`; of `DoublyRobustTerms`,
        `(0, 1, 0, 1)` is what `DR` takes the mean of.

        Args:
            sums: of terms whose first is 1 a row, over units of one row.
            coefficients: `c`, one a term.

        Raises:
            RequestError: there is no row, or a unit has several; then the estimate is no mean over units.

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
        """`Σ z / n`."""
        return self.total / self.units

    @property
    def variance(self) -> float:
        """`Σ (z − z̄)² / (n − 1)`; 0 of one number."""
        return max(self.square - self.total * self.value, 0.0) / max(self.units - 1, 1)
