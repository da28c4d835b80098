"""Confidence intervals of means by bootstrap over users and, if wanted, over training seeds.

Requests of one user are not independent, so users are resampled together with all their requests. The difference of two
rows is paired by request, which removes the variation between users.

Sources: Field and Welsh 2007, "Bootstrapping clustered data"; Owen and Eckles 2012, "Bootstrapping data arrays of
arbitrary order" for resampling users and seeds independently of each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

CHUNK_NUMBERS = 2**24


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval.

    Args:
        value: the estimate.
        low: lower end of the interval; None if there is no interval.
        high: upper end of the interval; None if there is no interval.
    """

    value: float
    low: float | None = None
    high: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """Return the entry of `metrics.json`.

        >>> Interval(0.5, 0.4, 0.6).to_dict()
        {'value': 0.5, 'low': 0.4, 'high': 0.6}
        """
        return {"value": self.value, "low": self.low, "high": self.high}


def bootstrap(
    values: Float[Tensor, "seeds B M"],
    users: Int[Tensor, " B"],
    *,
    samples: int = 2000,
    confidence: float = 0.95,
    resample_seeds: bool = False,
    seed: int = 0,
) -> list[Interval]:
    """Return the mean of each of `M` metrics over requests and seeds, with a percentile interval over resampled users.

    All metrics and seeds use the same resampled users. Memory does not grow with `samples`. With fewer than two users
    there is no interval.

    Args:
        values: value of each metric for each training seed and request; for a paired difference, the differences.
        users: user of each request, any integers.
        samples: number of resamples.
        confidence: probability mass of the interval, in (0, 1).
        resample_seeds: whether seeds are resampled too, independently of users. The interval then covers training runs
            with other seeds, which takes more than a few seeds. Otherwise it covers the given seeds only.
        seed: seed of the resampling. Equal seeds give equal intervals.

    >>> [interval] = bootstrap(torch.tensor([[[0.0], [1.0], [0.0], [1.0]]]), torch.arange(4))
    >>> interval
    Interval(value=0.5, low=0.0, high=1.0)
    """
    means = values.double().mean((0, 1)).tolist()
    drawn = resampled_means(values, users, samples=samples, resample_seeds=resample_seeds, seed=seed)
    if drawn is None:
        return [Interval(mean) for mean in means]
    low, high = torch.quantile(drawn, _ends(confidence), dim=0).tolist()
    return [Interval(*ends) for ends in zip(means, low, high, strict=True)]


def bootstrap_of(
    function: Callable[[Float[Tensor, "samples M"]], Float[Tensor, " samples"]],
    values: Float[Tensor, "seeds B M"],
    users: Int[Tensor, " B"],
    *,
    samples: int = 2000,
    confidence: float = 0.95,
    resample_seeds: bool = False,
    seed: int = 0,
) -> Interval:
    """Return a function of means, such as a ratio, with a percentile interval of the function over resampled users.

    Resamples for which the function is NaN are left out; where it is NaN for all there is no interval, and as in
    `bootstrap` there is none with fewer than two users.

    Args:
        function: of rows of `M` means.
        values: as in `bootstrap`.
        users: as in `bootstrap`.
        samples: as in `bootstrap`.
        confidence: as in `bootstrap`.
        resample_seeds: as in `bootstrap`.
        seed: as in `bootstrap`.

    >>> values = torch.tensor([[[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]]])
    >>> bootstrap_of(lambda means: means[:, 0] / means[:, 1], values, torch.arange(3))
    Interval(value=0.5, low=0.5, high=0.5)
    """
    value = function(values.double().mean((0, 1)).unsqueeze(0)).item()
    drawn = resampled_means(values, users, samples=samples, resample_seeds=resample_seeds, seed=seed)
    found = None if drawn is None else function(drawn)
    if found is None or found.isnan().all():
        return Interval(value)
    low, high = torch.nanquantile(found, _ends(confidence)).tolist()
    return Interval(value, low, high)


def resampled_means(
    values: Float[Tensor, "seeds B M"],
    users: Int[Tensor, " B"],
    *,
    samples: int,
    resample_seeds: bool = False,
    seed: int = 0,
) -> Float[Tensor, "samples M"] | None:
    """Return the means of each resample of the bootstrap; None with fewer than two users.

    Args:
        values: as in `bootstrap`.
        users: as in `bootstrap`.
        samples: as in `bootstrap`.
        resample_seeds: as in `bootstrap`.
        seed: as in `bootstrap`.
    """
    numbers, counts = _user_sums(values.double().cpu(), users.cpu())
    if counts.numel() < 2:
        return None
    generator = torch.Generator().manual_seed(seed)
    chunk = max(1, CHUNK_NUMBERS // counts.numel())
    drawn = [
        _resampled_means(numbers, counts, min(chunk, samples - start), resample_seeds, generator)
        for start in range(0, samples, chunk)
    ]
    return torch.cat(drawn)


def paired_difference(
    values: Float[Tensor, "seeds B M"],
    reference: Float[Tensor, "reference_seeds B M"],
    users: Int[Tensor, " B"],
    *,
    samples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[Interval]:
    """Return the mean of `values − reference` over the same requests, with an interval over resampled users.

    Each side is first averaged over its seeds.

    Args:
        values: as in `bootstrap`.
        reference: values of the reference row, as in `bootstrap`.
        users: as in `bootstrap`.
        samples: as in `bootstrap`.
        confidence: as in `bootstrap`.
        seed: as in `bootstrap`.

    >>> better = torch.tensor([[[0.3], [0.8], [0.4]]])
    >>> [interval] = paired_difference(better, better - 0.25, torch.arange(3))
    >>> round(interval.low, 3), round(interval.high, 3)
    (0.25, 0.25)
    """
    difference = values.double().mean(0, keepdim=True) - reference.double().mean(0, keepdim=True)
    return bootstrap(difference, users, samples=samples, confidence=confidence, seed=seed)


def _ends(confidence: float) -> Float[Tensor, "2"]:
    """Return the shares of the resamples below both ends of an interval."""
    tail = (1 - confidence) / 2
    return torch.tensor([tail, 1 - tail], dtype=torch.float64)


def _user_sums(
    values: Float[Tensor, "seeds B M"], users: Int[Tensor, " B"]
) -> tuple[Float[Tensor, "U seeds M"], Float[Tensor, " U"]]:
    """Return the sum of values and the number of requests of each user."""
    seeds, _, metrics = values.shape
    names, index = users.unique(return_inverse=True)
    numbers = values.new_zeros(len(names), seeds, metrics).index_add_(0, index, values.transpose(0, 1))
    return numbers, torch.bincount(index, minlength=len(names)).double()


def _resampled_means(
    numbers: Float[Tensor, "U seeds M"],
    counts: Float[Tensor, " U"],
    samples: int,
    resample_seeds: bool,
    generator: torch.Generator,
) -> Float[Tensor, "samples M"]:
    """Return the means over users drawn with replacement, as many as there are, for each sample."""
    users, seeds, _ = numbers.shape
    user_weights = _multiplicities(samples, users, generator)
    seed_weights = _multiplicities(samples, seeds, generator) if resample_seeds else numbers.new_ones(samples, seeds)
    drawn = (user_weights @ numbers.flatten(1)).unflatten(1, numbers.shape[1:])
    requests = (user_weights @ counts).unsqueeze(1)
    return (drawn * seed_weights.unsqueeze(-1)).sum(1) / (requests * seeds)


def _multiplicities(samples: int, units: int, generator: torch.Generator) -> Float[Tensor, "samples units"]:
    """Return how often each unit is drawn in `units` draws with replacement, for each sample."""
    drawn = torch.randint(units, (samples, units), generator=generator)
    drawn += torch.arange(samples).unsqueeze(1) * units
    return torch.bincount(drawn.flatten(), minlength=samples * units).view(samples, units).double()
