"""Means and maxima over the candidates that exist."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor


def mean_of(values: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Mean of the values the mask names; 0 where it names none. Masked values may be −inf or NaN.

    >>> import torch
    >>> mean_of(torch.tensor([1.0, 3.0, float("nan")]), torch.tensor([True, True, False]))
    tensor(2.)
    """
    return values.masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)


def mean_in_groups(values: Float[Tensor, "P G"], alive: Bool[Tensor, "P G"]) -> Float[Tensor, ""]:
    """Mean over each request's candidates, then over the requests that have one; 0 where none has.

    Every request weighs the same, however many candidates its legal set has.

    >>> import torch
    >>> mean_in_groups(torch.tensor([[1.0, 3.0], [6.0, 9.0]]), torch.tensor([[True, True], [True, False]]))
    tensor(4.)
    """
    of_request = values.masked_fill(~alive, 0.0).sum(-1) / alive.sum(-1).clamp(min=1)
    return mean_of(of_request, alive.any(-1))


def largest_of(values: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """The largest value, at least 0; 0 where there is none."""
    return values.new_zeros(()) if values.numel() == 0 else values.amax().clamp(min=0.0)
