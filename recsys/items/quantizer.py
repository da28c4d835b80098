"""The quantizer contract, the items that share codes, and the codebook diagnostics of each level."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import polars as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor


@runtime_checkable
class Quantizer(Protocol):
    """Codes of `L` levels for vectors of width `D`; the laws below are held by `tests/contracts`.

    - a vector's codes depend on nothing but the vector (not on its batch);
    - the mean squared error of the fitted vectors never grows with a level;
    - equal generators give equal codes;
    - a state dict loaded into a fresh quantizer of the same options gives the same codes.

    Attributes:
        levels: `L`.
        codes_per_level: how many codes each level has.
    """

    @property
    def levels(self) -> int:
        """`L`."""
        ...

    @property
    def codes_per_level(self) -> tuple[int, ...]:
        """How many codes each level has."""
        ...

    def fit(self, x: Float[Tensor, "N D"], generator: torch.Generator) -> Quantizer:
        """Learn the codebooks from `N` vectors."""
        ...

    def fit_encode(self, x: Float[Tensor, "N D"], generator: torch.Generator) -> Int[Tensor, "N L"]:
        """Learn the codebooks and return the codes the fitted vectors got.

        They are what `encode` returns, except among equal vectors, which a balanced quantizer deals out over several
        codes and `encode` cannot tell apart.
        """
        ...

    def encode(self, x: Float[Tensor, "N D"]) -> Int[Tensor, "N L"]:
        """The codes of any vectors, fitted or new."""
        ...

    def decode(self, codes: Int[Tensor, "N l"]) -> Float[Tensor, "N D"]:
        """The vectors that codes stand for; the first `l ≤ L` levels alone give a coarser answer."""
        ...


def bucket_of(codes: Int[Tensor, "N L"]) -> Int[Tensor, " N"]:
    """`[N]`: the bucket of each row, rows being in one bucket exactly where all their codes agree.

    Buckets are numbered from 0 in lexicographic order of their codes. With `L = 0` every row is in bucket 0.

    >>> bucket_of(torch.tensor([[1, 0], [0, 7], [1, 0]]))
    tensor([1, 0, 1])
    """
    bucket = torch.zeros(codes.shape[0], dtype=torch.int64, device=codes.device)
    for column in codes.long().T:
        bucket = torch.unique(bucket * (column.max() + 1) + column, return_inverse=True)[1]
    return bucket


def rank_in_bucket(bucket: Int[Tensor, " N"]) -> Int[Tensor, " N"]:
    """`[N]`: how many earlier rows share each row's bucket.

    >>> rank_in_bucket(torch.tensor([4, 2, 4, 4]))
    tensor([0, 0, 1, 2])
    """
    ordered, order = bucket.sort(stable=True)
    place = torch.arange(bucket.numel(), device=bucket.device) - torch.searchsorted(ordered, ordered)
    return torch.empty_like(place).scatter_(0, order, place)


def codebook_diagnostics(codes: Int[Tensor, "N L"], quantizer: Quantizer, x: Float[Tensor, "N D"]) -> pl.DataFrame:
    """Health of a quantizer's codes, before any collision policy.

    Columns, one row a level from 1 to `L`:

    - `level`;
    - `use`: share of the level's codes that some item has, in [0, 1];
    - `entropy`: of the code of an item drawn at random, nats, from 0 to log `K`;
    - `largest_bucket`: most items that share their codes up to this level;
    - `collisions`: share of the items that share theirs with another, in [0, 1];
    - `error`: mean squared error of the vectors decoded from the levels so far, as a share of their variance.

    Args:
        codes: `[N, L]`.
        quantizer: what gave them; it decodes.
        x: `[N, D]`, the vectors they stand for.
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
                "largest_bucket": int(bucket.max()),
                "collisions": float(bucket[bucket > 1].sum() / codes.shape[0]),
                "error": float(error),
            }
        )
    return pl.DataFrame(rows)


def entropy(counts: Int[Tensor, " K"]) -> float:
    """Entropy in nats of a draw in proportion to counts.

    >>> round(entropy(torch.tensor([5, 5, 0])), 4)
    0.6931
    """
    share = counts[counts > 0].double() / counts.sum()
    return float(-(share * share.log()).sum())
