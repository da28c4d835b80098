"""How surprising recommended items are: their self-information under what everybody takes."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor


def self_information(counts: Num[Tensor, " N"]) -> Float[Tensor, " N"]:
    """`−log2 p(i)` in bits, `p(i) = (c_i + 1) / Σ_j (c_j + 1)`: finite even where nobody took the item.

    Args:
        counts: training interactions of each item.

    >>> self_information(torch.tensor([3, 1, 1, 7]))
    tensor([2., 3., 3., 1.], dtype=torch.float64)
    """
    smoothed = counts.double() + 1
    return torch.log2(smoothed.sum()) - torch.log2(smoothed)


def novelty(items: Int[Tensor, "B K"], information: Float[Tensor, " N"]) -> Float[Tensor, " B"]:
    """Mean self-information (bits) of each list's items; 0 for a list without items.

    Source: Zhou et al. 2010, "Solving the apparent diversity-accuracy dilemma of recommender systems".

    Args:
        items: lists; −1 is no item.
        information: of `self_information`.

    >>> novelty(torch.tensor([[0, 1], [3, -1]]), torch.tensor([2.0, 3.0, 3.0, 1.0]))
    tensor([2.5000, 1.0000])
    """
    there = items >= 0
    return (information[items.clamp(min=0)] * there).sum(1) / there.sum(1).clamp(min=1)
