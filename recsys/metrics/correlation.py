"""Correlation of what a policy infers of its users with what is true of them, with an interval over users and seeds."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recsys.metrics.intervals import Interval, bootstrap_of

CONSTANT = 1e-12
"""Share of the whole variance that is rounding: values of a resample that vary less are constant."""


def correlation(
    first: Float[Tensor, "seeds T B"],
    second: Float[Tensor, "seeds T B"],
    mask: Bool[Tensor, "seeds T B"],
    *,
    samples: int = 1000,
    seed: int = 0,
) -> Interval | None:
    """Return Pearson's correlation over all users, steps and seeds of a mask, with a 95 % interval.

    `r = Σ (x − x̄)(y − ȳ) / √(Σ (x − x̄)² Σ (y − ȳ)²)`, in [−1, 1]; the sums and both means are over the mask, all seeds
    together, so that a user with more steps counts for more. The interval is by bootstrap over users with all their
    steps and, where there are several, over seeds. Resamples in which either is constant are left out of it.

    Args:
        first: `x`, of each seed, step and user; anything outside the mask.
        second: `y`, likewise.
        mask: which count.
        samples: resamples.
        seed: of the bootstrap.

    Returns:
        The correlation; None where it is not defined: nothing counts, or `x` or `y` has one value throughout.

    >>> x = torch.tensor([[[1.0, 2.0, 3.0]]])
    >>> found = correlation(x, 5 - 2 * x, torch.ones(x.shape, dtype=torch.bool))
    >>> round(found.value, 6)
    -1.0
    >>> correlation(x, torch.ones(x.shape), torch.ones(x.shape, dtype=torch.bool)) is None
    True
    """
    if not mask.any() or any(one[mask].min() == one[mask].max() for one in (first, second)):
        return None
    x, y = (_standardised(one.double(), mask) for one in (first, second))
    # Sums over each user's steps; of them Pearson's correlation follows, and they add up over users and seeds.
    sums = torch.stack([mask.double(), x, y, x * x, y * y, x * y], -1).sum(1)
    users = torch.arange(sums.shape[1])
    return bootstrap_of(_pearson, sums, users, samples=samples, resample_seeds=len(sums) > 1, seed=seed)


def _standardised(values: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return values with mean 0 and variance 1 over the mask, so that sums of squares keep their digits; else 0."""
    counted = values[mask]
    scaled = (values - counted.mean()) / counted.std(correction=0)
    return scaled.masked_fill(~mask, 0)


def _pearson(sums: Float[Tensor, "samples 6"]) -> Float[Tensor, " samples"]:
    """Return the correlation from means of `1, x, y, x², y², xy`, to any common factor; NaN where one is constant."""
    count, x, y, xx, yy, xy = sums.unbind(-1)
    shared = xy / count - x * y / count**2
    first, second = xx / count - (x / count) ** 2, yy / count - (y / count) ** 2
    found = (shared / (first * second).sqrt()).clamp(-1, 1)
    return found.where((first > CONSTANT) & (second > CONSTANT), torch.nan)
