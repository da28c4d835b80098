"""Items that share their codes: which bucket each stands in, and its place there."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor


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
