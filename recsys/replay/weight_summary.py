"""What the weights of a log say about how far it can tell: how many rounds it is worth, and how heavy the tail is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

ROWS = 2**18
"""How many weights a thread counts at once."""


@dataclass(frozen=True)
class WeightSummary:
    """Of one weight a row; summaries of parts of a log are added.

    Weights are sorted by size: the first row is of those that are 0, row `b` of those with
    `2^(b − 65) ≤ |w| < 2^(b − 64)`; smaller and larger ones are in the first and last of these.

    Args:
        sizes: `[129, 3]`, of each size the count, `Σ w` and `Σ w²`.
        largest: the largest `|w|`.
    """

    sizes: Float[Tensor, "129 3"]
    largest: float

    @classmethod
    def of(cls, weight: Float[Tensor, " n"]) -> WeightSummary:
        """Of one weight a row.

        >>> summary = WeightSummary.of(torch.tensor([0.0, 1.0, 1.0, 4.0]))
        >>> summary.rows, summary.total, summary.largest, summary.effective  # 6² / 18
        (4, 6.0, 4.0, 2.0)
        """
        from recsys.replay.kernels.compiled import in_parallel
        from recsys.replay.kernels.weights import by_size

        weights = weight.detach().double().contiguous().numpy()

        def counted(start: int) -> Any:
            return by_size(weights[start : start + ROWS])

        sizes, largest = torch.zeros(129, 3, dtype=torch.float64), 0.0
        for part, most in in_parallel(counted, range(0, len(weights), ROWS)):
            sizes += torch.from_numpy(part)
            largest = max(largest, most)
        return cls(sizes, largest)

    @property
    def rows(self) -> int:
        """How many weights."""
        return int(self.sizes[:, 0].sum())

    @property
    def total(self) -> float:
        """`Σ w`."""
        return float(self.sizes[:, 1].sum())

    @property
    def squares(self) -> float:
        """`Σ w²`."""
        return float(self.sizes[:, 2].sum())

    @property
    def effective(self) -> float:
        """`(Σ w)² / Σ w²`, the effective sample size: as many equal weights tell as much; 0 where all are 0.

        Source: Kish 1965, "Survey sampling".
        """
        return self.total**2 / self.squares if self.squares else 0.0

    @property
    def edges(self) -> Float[Tensor, " 129"]:
        """Which size each row of `sizes` begins at.

        >>> WeightSummary.of(torch.ones(1)).edges[[0, 64, 65, 66]]
        tensor([0.0000, 0.5000, 1.0000, 2.0000], dtype=torch.float64)
        """
        return torch.cat([torch.zeros(1), torch.exp2(torch.arange(-64.0, 64.0))]).double()

    def __add__(self, other: WeightSummary) -> WeightSummary:
        return WeightSummary(self.sizes + other.sizes, max(self.largest, other.largest))
