"""Ranking metrics where items cannot be told apart: equal scores, or several items behind one code.

`sharing` items (the held-out one among them) share the places `before + 1 … before + sharing`, in random order. The
expected value over these orders neither credits the whole group nor depends on how a tie happens to break.
Source: McSherry and Najork 2008, "Computing information retrieval performance measures efficiently in the presence of
tied scores".
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def expected_hit(before: Int[Tensor, "..."], sharing: Int[Tensor, "..."], k: int) -> Float[Tensor, "..."]:
    """Probability that the held-out item is among the first `k`: `clamp((k − before) / sharing, 0, 1)`.

    Args:
        before: items certainly ranked above it, at least 0.
        sharing: items it shares its places with, itself among them; 0 where it is not in the ranking, which scores 0.
        k: cutoff, at least 1.

    >>> expected_hit(torch.tensor([0, 8, 12, 3]), torch.tensor([1, 4, 4, 0]), 10)
    tensor([1.0000, 0.5000, 0.0000, 0.0000], dtype=torch.float64)
    """
    share = (k - before).clamp(min=0).double() / sharing.clamp(min=1)
    return torch.where(sharing > 0, share.clamp(max=1), 0.0)


def expected_ndcg(before: Int[Tensor, "..."], sharing: Int[Tensor, "..."], k: int) -> Float[Tensor, "..."]:
    """Expected `1[rank ≤ k] / log2(rank + 1)`: the mean discount of the shared places, those beyond `k` counting 0.

    Args:
        before: as in `expected_hit`.
        sharing: as in `expected_hit`.
        k: as in `expected_hit`.

    >>> expected_ndcg(torch.tensor([0, 0]), torch.tensor([1, 3]), 10)  # (1 + 0.6309 + 0.5) / 3
    tensor([1.0000, 0.7103], dtype=torch.float64)
    """
    places = torch.arange(1, k + 1, device=before.device, dtype=torch.float64)
    total = torch.cat([places.new_zeros(1), (1 / torch.log2(places + 1)).cumsum(0)])
    gained = total[(before + sharing).clamp(max=k)] - total[before.clamp(max=k)]
    return torch.where(sharing > 0, gained / sharing.clamp(min=1), 0.0)


def places_of_code(
    sizes: Int[Tensor, "B K"], is_target: Bool[Tensor, "B K"]
) -> tuple[Int[Tensor, " B"], Int[Tensor, " B"]]:
    """`before` and `sharing` of a target in a ranked list of codes, each of which stands for several items.

    Args:
        sizes: items behind each code, in ranked order; 0 where there is no code.
        is_target: true at the code the target is behind, at most once a row; nowhere gives `sharing` 0.

    >>> places_of_code(torch.tensor([[2, 3, 1]]), torch.tensor([[False, True, False]]))
    (tensor([2]), tensor([3]))
    """
    above = sizes.cumsum(1) - sizes
    return (above * is_target).sum(1), (sizes * is_target).sum(1)
