"""The `k` best of each row, ties to the lowest index."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor


def top_k(scores: Float[Tensor, "B X"], k: int) -> tuple[Float[Tensor, "B k"], Int[Tensor, "B k"]]:
    """The `k` largest scores of each row, falling, and where they stand; equal scores in the order of their indices.

    `torch.topk` leaves the order of ties open. Here only rows where a tie straddles the `k`-th place pay for a sort.
    Ties at −inf are left as they fall: nothing is there to choose.

    Args:
        scores: `[B, X]`, no NaN.
        k: from 1 to `X`.

    >>> import torch
    >>> top_k(torch.tensor([[1.0, 3.0, 1.0, 3.0, 1.0]]), 3)
    (tensor([[3., 3., 1.]]), tensor([[1, 3, 0]]))
    """
    values, indices = scores.topk(k, dim=-1, sorted=False)
    least = values.amin(-1, keepdim=True)
    straddles = ((scores == least).sum(-1) > (values == least).sum(-1)) & least.squeeze(-1).isfinite()
    rows = straddles.nonzero().squeeze(-1)
    if rows.numel():
        exact_values, exact_indices = scores[rows].sort(dim=-1, descending=True, stable=True)
        values = values.index_copy(0, rows, exact_values[:, :k])
        indices = indices.index_copy(0, rows, exact_indices[:, :k])
    indices, order = indices.sort(dim=-1)
    values, order = values.gather(-1, order).sort(dim=-1, descending=True, stable=True)
    return values, indices.gather(-1, order)
