"""Calibration: predicted against observed frequencies, and the coverage of intervals."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: predicted probability against observed frequency, in bins of equal numbers of predictions.

    Args:
        predicted: `[bins]`, mean predicted probability.
        observed: `[bins]`, share of the predicted events that occurred.
        low: `[bins]`, lower end of the 95 % interval of `observed` (Wilson 1927).
        high: `[bins]`, upper end of that interval.
    """

    predicted: Float[Tensor, " bins"]
    observed: Float[Tensor, " bins"]
    low: Float[Tensor, " bins"]
    high: Float[Tensor, " bins"]

    @property
    def error(self) -> float:
        """Expected calibration error: the mean of `|predicted − observed|` over bins, in [0, 1]."""
        return float((self.predicted - self.observed).abs().mean())


def reliability(
    probability: Float[Tensor, " n"], occurred: Bool[Tensor, " n"] | Float[Tensor, " n"], bins: int = 10
) -> Reliability:
    """Return the reliability diagram of predictions, sorted into bins by predicted probability.

    Args:
        probability: predicted probability of each event.
        occurred: whether the event occurred; or the share of several like events that did, in [0, 1], for which the
            intervals are too wide rather than too narrow.
        bins: number of bins; fewer if there are fewer predictions.

    >>> found = reliability(torch.tensor([0.1, 0.9, 0.3, 0.7]), torch.tensor([False, True, False, True]), bins=2)
    >>> found.predicted, found.observed, round(found.error, 2)
    (tensor([0.2000, 0.8000]), tensor([0., 1.]), 0.2)
    """
    order = probability.argsort(stable=True)
    parts = [part for part in order.tensor_split(bins) if len(part)]
    size = torch.tensor([len(part) for part in parts])
    predicted = torch.stack([probability[part].mean() for part in parts])
    share = torch.stack([occurred[part].float().mean() for part in parts])
    z = 1.959964
    centre = (share + z**2 / (2 * size)) / (1 + z**2 / size)
    half = z * (share * (1 - share) / size + z**2 / (4 * size**2)).sqrt() / (1 + z**2 / size)
    return Reliability(predicted, share, centre - half, centre + half)


def interval_coverage(
    draws: Float[Tensor, "draws n"], truth: Float[Tensor, " n"], confidence: float = 0.9
) -> Bool[Tensor, " n"]:
    """Return whether the central interval of posterior draws contains each true value, ends included.

    Args:
        draws: draws of each value.
        truth: the true values.
        confidence: probability mass of the interval, in (0, 1).

    >>> interval_coverage(torch.arange(11.0).unsqueeze(1).expand(11, 2), torch.tensor([5.0, 10.0]), confidence=0.8)
    tensor([ True, False])
    """
    tail = (1 - confidence) / 2
    low, high = torch.quantile(draws, torch.tensor([tail, 1 - tail], dtype=draws.dtype, device=draws.device), dim=0)
    return (low <= truth) & (truth <= high)
