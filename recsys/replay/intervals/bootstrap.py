"""Intervals by resampling units, of logs that come in batches, shards or from several processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.metrics.intervals import Interval
from recsys.ranges import at_least, is_seed
from recsys.replay.estimator import Estimator
from recsys.replay.sums import Sums

ROWS = 2**16
"""Rows that a thread resamples at once."""


@dataclass(frozen=True)
class Bootstrap:
    """The Poisson bootstrap: in each replicate, a unit counts `N` times, with `N` Poisson distributed with mean 1.

    `N` depends on seed, unit and replicate only (a hash, read as 16 random bits). A unit therefore counts alike in any
    order, batch, shard or process, and the replicates of parts of a log are added. More replicates leave the first ones
    unchanged. Sources: Hanley and MacGibbon 2006, "Creating non-parametric bootstrap samples using Poisson
    frequencies"; Chamandy, Muralidharan, Najmi, Naidu 2012, "Estimating uncertainty for massive data streams".

    Args:
        replicates: `R`, number of replicates, at least 1.
        seed: seed of the hash, at least 0.

    Raises:
        ConfigurationError: a number is too small.
    """

    replicates: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        at_least(1, replicates=self.replicates)
        is_seed(seed=self.seed)

    def totals(self, terms: Float[Tensor, "n k"], unit: Int[Tensor, " n"]) -> Float[Tensor, "R k"]:
        """Return `Σ N t` of each replicate.

        Args:
            terms: terms `t` of each row.
            unit: unit of each row: a user, or the row itself where rows are independent.

        >>> halves = Bootstrap(3).totals(torch.ones(2, 1), torch.tensor([7, 8])).squeeze(1)
        >>> parts = [Bootstrap(3).totals(torch.ones(1, 1), torch.tensor([unit])) for unit in (8, 7)]
        >>> torch.equal(halves, sum(parts).squeeze(1))
        True
        """
        from recsys.replay.numba_kernels import GROUP, group_totals, in_parallel

        values, units = terms.detach().double().contiguous().numpy(), unit.long().contiguous().numpy()
        groups = range(-(-self.replicates // GROUP))
        fours = [-(-min(GROUP, self.replicates - GROUP * group) // 4) for group in groups]
        pieces = [(start, group) for start in range(0, len(units), ROWS) for group in groups]

        def drawn(piece: tuple[int, int]) -> Any:
            start, group = piece
            rows = slice(start, start + ROWS)
            return group_totals(units[rows], values[rows], self.seed, group, fours[group])

        totals = torch.zeros(4 * sum(fours), terms.shape[1], dtype=torch.float64)
        for (_, group), part in zip(pieces, in_parallel(drawn, pieces), strict=True):
            totals[GROUP * group : GROUP * group + part.shape[1]] += torch.from_numpy(part.T)
        return totals[: self.replicates]


def percentile(
    estimator: Estimator[Any], sums: Sums, replicates: Float[Tensor, "R k"], confidence: float = 0.95
) -> Interval:
    """Return the estimate and the interval between the tail quantiles of the replicates' values.

    Numerator and denominator of a ratio are resampled together. Replicates whose value is not defined, because no unit
    counts, are left out. There is no interval for fewer than two units.

    Args:
        estimator: a function of the sums.
        sums: sums of its terms.
        replicates: replicates of the sums of its terms, from `Bootstrap.totals`.
        confidence: level, in (0, 1).

    >>> from recsys.replay.actions.importance import IPS
    >>> terms = torch.tensor([[1.0, 1.0, reward] for reward in (0.0, 0.0, 1.0, 1.0)])
    >>> percentile(IPS(), Sums.of(terms), Bootstrap().totals(terms, torch.arange(4)))
    Interval(value=0.5, low=0.0, high=1.0)
    """
    value = float(estimator.value(sums.totals))
    drawn = estimator.value(replicates)
    drawn = drawn[drawn.isfinite()]
    if sums.units < 2 or not len(drawn):
        return Interval(value)
    tail = (1 - confidence) / 2
    low, high = torch.quantile(drawn, drawn.new_tensor([tail, 1 - tail])).tolist()
    return Interval(value, low, high)
