"""The `k` best of each row, ties to the lowest index."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor


def top_k(scores: Float[Tensor, "B X"], k: int) -> tuple[Float[Tensor, "B k"], Int[Tensor, "B k"]]:
    """The `k` largest scores of each row, falling, and where they stand; equal scores in the order of their indices.

    `torch.topk` leaves the order of ties open, and which of those that straddle the `k`-th place are taken. Only rows
    with a tie among their best pay for setting it right. Ties at −inf stay as they fall: nothing is there to choose.

    Args:
        scores: `[B, X]`, no NaN.
        k: from 1 to `X`.

    >>> import torch
    >>> top_k(torch.tensor([[1.0, 3.0, 1.0, 3.0, 1.0]]), 3)
    (tensor([[3., 3., 1.]]), tensor([[1, 3, 0]]))
    """
    values, indices = scores.topk(min(k + 1, scores.shape[-1]), dim=-1)
    tied = (values[:, 1:] == values[:, :-1]) & values[:, 1:].isfinite()
    inside = tied[:, : k - 1].any(-1).nonzero().squeeze(-1)
    straddling = tied[:, k - 1 :].any(-1).nonzero().squeeze(-1)
    values, indices = values[:, :k], indices[:, :k]
    if inside.numel():
        rising, order = indices[inside].sort(dim=-1)
        ranks = values[inside].gather(-1, order).argsort(dim=-1, descending=True, stable=True)
        indices = indices.index_copy(0, inside, rising.gather(-1, ranks))
    if straddling.numel():
        order = scores[straddling].argsort(dim=-1, descending=True, stable=True)
        indices = indices.index_copy(0, straddling, order[:, :k])
    return values, indices
