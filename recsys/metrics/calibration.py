"""Calibration: predicted against observed frequencies, and the coverage of intervals."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Reliability:
    """How often what was said to happen with some probability did happen, in bins of equally many statements.

    Args:
        said: `[bins]`, mean probability.
        happened: `[bins]`, share that came true.
        low: `[bins]`, lower end of the 95 % interval of that share (Wilson 1927).
        high: `[bins]`, upper end.
    """

    said: Float[Tensor, " bins"]
    happened: Float[Tensor, " bins"]
    low: Float[Tensor, " bins"]
    high: Float[Tensor, " bins"]

    @property
    def error(self) -> float:
        """Mean distance of said and happened, over statements: the expected calibration error."""
        return float((self.said - self.happened).abs().mean())


def reliability(probability: Float[Tensor, " n"], happened: Bool[Tensor, " n"], bins: int = 10) -> Reliability:
    """In bins by probability, from the least probable to the most; at most as many bins as statements.

    >>> found = reliability(torch.tensor([0.1, 0.9, 0.3, 0.7]), torch.tensor([False, True, False, True]), bins=2)
    >>> found.said, found.happened, round(found.error, 2)
    (tensor([0.2000, 0.8000]), tensor([0., 1.]), 0.2)
    """
    order = probability.argsort(stable=True)
    parts = [part for part in order.tensor_split(bins) if len(part)]
    size = torch.tensor([len(part) for part in parts])
    said = torch.stack([probability[part].mean() for part in parts])
    share = torch.stack([happened[part].float().mean() for part in parts])
    z = 1.959964
    centre = (share + z**2 / (2 * size)) / (1 + z**2 / size)
    half = z * (share * (1 - share) / size + z**2 / (4 * size**2)).sqrt() / (1 + z**2 / size)
    return Reliability(said, share, centre - half, centre + half)


def interval_coverage(
    draws: Float[Tensor, "draws n"], truth: Float[Tensor, " n"], confidence: float = 0.9
) -> Bool[Tensor, " n"]:
    """Whether the central interval of the draws holds each truth, ends included.

    >>> interval_coverage(torch.arange(11.0).unsqueeze(1).expand(11, 2), torch.tensor([5.0, 10.0]), confidence=0.8)
    tensor([ True, False])
    """
    tail = (1 - confidence) / 2
    low, high = torch.quantile(draws, torch.tensor([tail, 1 - tail], dtype=draws.dtype, device=draws.device), dim=0)
    return (low <= truth) & (truth <= high)
