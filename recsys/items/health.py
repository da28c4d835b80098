"""How well codes are used, told apart and decoded: one row a level."""

from __future__ import annotations

import polars as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.items.buckets import bucket_of
from recsys.items.quantizer import Quantizer


def code_health(codes: Int[Tensor, "N L"], quantizer: Quantizer, x: Float[Tensor, "N D"]) -> pl.DataFrame:
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
