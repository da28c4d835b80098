"""Totals of each user of a log, whose rows may come in several batches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from recsys.replay.sums import Sums, by_unit

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
