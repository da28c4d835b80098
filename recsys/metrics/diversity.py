"""How different the items of one list are from each other."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def intra_list_distance(items: Int[Tensor, "B K"], vectors: Float[Tensor, "N D"]) -> Float[Tensor, " B"]:
    """Mean cosine distance `1 − cos(v_i, v_j)` over a list's pairs of items; in `[0, 2]`.

    Needs no pairs in memory: over unit vectors `Σ_{i≠j} cos = ‖Σ v‖² − Σ ‖v‖²`. A list of fewer than two items scores
    0; an item with a zero vector is at distance 1 from every other.
    Source: Ziegler et al. 2005, "Improving recommendation lists through topic diversification".

    Args:
        items: lists; −1 is no item.
        vectors: one row an item, of any length.

    >>> intra_list_distance(torch.tensor([[0, 1], [0, 2], [1, -1]]), torch.tensor([[1.0, 0], [0, 2], [3, 0]]))
    tensor([1., 0., 0.])
    """
    there = items >= 0
    unit = torch.nn.functional.normalize(vectors, dim=1)
    listed = unit[items.clamp(min=0)] * there.unsqueeze(-1)
    cosines = listed.sum(1).square().sum(-1) - listed.square().sum((1, 2))
    count = there.sum(1)
    pairs = (count * (count - 1)).clamp(min=1)
    return torch.where(count > 1, 1 - cosines / pairs, 0.0)
