"""The protocol of quantizers, buckets of items that share codes, and diagnostics of the codebooks."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import polars as pl
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@runtime_checkable
class Quantizer(Protocol):
    """A quantizer, which maps vectors of width `D` to codes of `L` levels.

    `tests/contracts` checks that:

    - the codes of a vector depend on the vector only, not on its batch;
    - a further level never increases the mean squared error of the fitted vectors;
    - equal generators give equal codes;
    - a state dict, loaded into a new quantizer with the same options, gives the same codes.

    Attributes:
        levels: number of levels `L`.
        codes_per_level: number of codes `K` of each level.
    """

    levels: int
    codes_per_level: tuple[int, ...]

    def fit(self, x: Float[Tensor, "N D"], generator: torch.Generator) -> Quantizer:
        """Learn the codebooks from `N` vectors and return the quantizer.

        Raises:
            DataError: there are fewer vectors than codes of a level, or a vector is not finite.
        """
        ...

    def fit_encode(self, x: Float[Tensor, "N D"], generator: torch.Generator) -> Int[Tensor, "N L"]:
        """Learn the codebooks as `fit` does and return the codes of the fitted vectors.

        The codes are those of `encode`, except for equal vectors: a balanced quantizer may spread them over several
        codes, and `encode` gives all of them the same.
        """
        ...

    def encode(self, x: Float[Tensor, "N D"]) -> Int[Tensor, "N L"]:
        """Return the codes of any vectors, fitted or new."""
        ...

    def decode(self, codes: Int[Tensor, "N l"]) -> Float[Tensor, "N D"]:
        """Return the vectors that codes represent. Fewer levels, `l < L`, give a coarser approximation."""
        ...


@runtime_checkable
class PricedQuantizer(Protocol):
    """A quantizer that encodes by distance and price, as balanced ones do, and has the nearest codewords beside."""

    def nearest(self, x: Float[Tensor, "N D"]) -> Int[Tensor, "N L"]:
        """Return the codes of the nearest codewords, level after level, whatever their prices."""
        ...


def codes_of_new(quantizer: Quantizer, x: Float[Tensor, "N D"]) -> Int[Tensor, "N L"]:
    """Return the codes `[N, L]` of vectors that no fit saw: level after level that of the nearest codeword.

    Prices balance the codes of the fitted vectors, and new items are no part of that balance. A quantizer without
    prices encodes new vectors as any others.

    Source: ours; OneRec (arXiv 2502.18965) does not say how items get codes that come later.
    """
    return quantizer.nearest(x) if isinstance(quantizer, PricedQuantizer) else quantizer.encode(x)


def bucket_of(codes: Int[Tensor, "N L"]) -> Int[Tensor, " N"]:
    """Return the bucket of each row, `[N]`. Two rows are in the same bucket if and only if all their codes are equal.

    Buckets are numbered from 0 in lexicographic order of their codes. With `L = 0` every row is in bucket 0.

    >>> bucket_of(torch.tensor([[1, 0], [0, 7], [1, 0]]))
    tensor([1, 0, 1])
    """
    bucket = torch.zeros(codes.shape[0], dtype=torch.int64, device=codes.device)
    for column in codes.long().T:
        bucket = torch.unique(bucket * (column.max() + 1) + column, return_inverse=True)[1]
    return bucket


def rank_in_bucket(bucket: Int[Tensor, " N"]) -> Int[Tensor, " N"]:
    """Return the number of earlier rows in the bucket of each row, `[N]`.

    >>> rank_in_bucket(torch.tensor([4, 2, 4, 4]))
    tensor([0, 0, 1, 2])
    """
    ordered, order = bucket.sort(stable=True)
    place = torch.arange(bucket.numel(), device=bucket.device) - torch.searchsorted(ordered, ordered)
    return torch.empty_like(place).scatter_(0, order, place)


def codebook_diagnostics(codes: Int[Tensor, "N L"], quantizer: Quantizer, x: Float[Tensor, "N D"]) -> pl.DataFrame:
    """Return diagnostics of a quantizer's codes before any collision policy, one row a level from 1 to `L`.

    The columns are:

    - `level`: the level;
    - `use`: share of the level's codes that at least one item has, in [0, 1];
    - `entropy`: entropy of the code of a random item, in nats, from 0 to log `K`;
    - `largest_code`, `smallest_code`: number of items of the level's most and least frequent code;
    - `largest_bucket`: the largest number of items that share all codes up to this level;
    - `collisions`: share of items that share all codes up to this level with another item, in [0, 1];
    - `error`: mean squared error of the vectors decoded from the levels up to this one, as a share of their variance.

    Args:
        codes: `[N, L]`, codes of the items.
        quantizer: the fitted quantizer, which decodes them.
        x: `[N, D]`, the vectors of the items.
    """
    variance = (x - x.mean(0)).square().sum(-1).mean().clamp(min=torch.finfo(x.dtype).tiny)
    rows = []
    for level, size in enumerate(quantizer.codes_per_level, start=1):
        counts = codes[:, level - 1].bincount(minlength=size)
        bucket = bucket_of(codes[:, :level]).bincount()
        error = (x - quantizer.decode(codes[:, :level])).square().sum(-1).mean() / variance
        rows.append(
            {
                "level": level,
                "use": float((counts > 0).float().mean()),
                "entropy": entropy(counts),
                "largest_code": int(counts.max()),
                "smallest_code": int(counts.min()),
                "largest_bucket": int(bucket.max()),
                "collisions": float(bucket[bucket > 1].sum() / codes.shape[0]),
                "error": float(error),
            }
        )
    return pl.DataFrame(rows)


def new_item_diagnostics(codes: Int[Tensor, "N L"], new: Bool[Tensor, " N"]) -> pl.DataFrame:
    """Return what items that no fit saw do to the codes of a quantizer, one row a level from 1 to `L`.

    The columns are:

    - `level`: the level;
    - `largest_without`, `largest_with`: number of items of the level's most frequent code, without and with new items;
    - `collisions`: share of the new items that share all codes up to this level with another item, in [0, 1].

    Args:
        codes: `[N, L]`, codes of all items before a collision policy.
        new: `[N]`, mask of the new items, at least one.

    >>> codes = torch.tensor([[0, 0], [1, 1], [0, 0], [0, 1]])
    >>> new_item_diagnostics(codes, torch.tensor([False, False, True, True])).rows()
    [(1, 1, 3, 1.0), (2, 1, 2, 0.5)]
    """
    rows = []
    for level in range(codes.shape[1]):
        column, bucket = codes[:, level], bucket_of(codes[:, : level + 1])
        known = column[~new]
        rows.append(
            {
                "level": level + 1,
                "largest_without": int(known.bincount().max()) if known.numel() else 0,
                "largest_with": int(column.bincount().max()),
                "collisions": float((bucket.bincount()[bucket[new]] > 1).float().mean()),
            }
        )
    return pl.DataFrame(rows)


def sharing(codes: Int[Tensor, "N L"]) -> int:
    """Return the number of items that share all their codes with another item.

    >>> sharing(torch.tensor([[0, 1], [2, 2], [0, 1]]))
    2
    """
    size = bucket_of(codes).bincount()
    return int(size[size > 1].sum())


def entropy(counts: Int[Tensor, " K"]) -> float:
    """Return the entropy, in nats, of the distribution proportional to `counts`.

    >>> round(entropy(torch.tensor([5, 5, 0])), 4)
    0.6931
    """
    share = counts[counts > 0].double() / counts.sum()
    return float(-(share * share.log()).sum())
