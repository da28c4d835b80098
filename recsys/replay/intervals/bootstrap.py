"""Intervals by resampling units, of logs that come in batches, shards or from several processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.metrics.intervals import Interval
from recsys.replay.estimator import Estimator
from recsys.replay.sums import Sums

ROWS = 2**16
"""How many rows a thread resamples at once."""


@dataclass(frozen=True)
class Bootstrap:
    """Poisson bootstrap: in each replicate a unit counts `N` times, `N` Poisson with mean 1.

    `N` is a function of seed, unit and replicate alone (a hash, read as 16 random bits), so that a unit counts alike in
    whatever order, batch, shard or process its rows come, and replicates of parts of a log are added. More replicates
    leave the first as they are. Sources: Hanley and MacGibbon 2006, "Creating non-parametric bootstrap samples using
    Poisson frequencies"; Chamandy, Muralidharan, Najmi, Naidu 2012, "Estimating uncertainty for massive data streams".

    Args:
        replicates: `R`, how many, at least 1.
        seed: at least 0.

    Raises:
        ConfigurationError: a number is below its least.
    """

    replicates: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("replicates", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigurationError(f"bootstrap.{name} is {getattr(self, name)}; it must be at least {least}")

    def totals(self, terms: Float[Tensor, "n k"], unit: Int[Tensor, " n"]) -> Float[Tensor, "R k"]:
        """`Σ N t` of each replicate.

        Args:
            terms: of each row.
            unit: what each row belongs to: a user, a slate, a request; the row itself where it stands alone.

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
    """The estimate, and between which of the replicates' values the middle ones lie.

    What a ratio is divided by is resampled with what it divides. Replicates in which the value does not exist (no unit
    that counts was drawn) are passed over. No interval with fewer than two units.

    Args:
        estimator: a function of the sums.
        sums: of its terms.
        replicates: of its terms, of `Bootstrap.totals`.
        confidence: in (0, 1).

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
