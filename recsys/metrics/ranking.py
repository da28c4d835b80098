"""Metrics of the rank of a held-out item: hit rate, NDCG and reciprocal rank.

The first item has rank 1. An item that is not in the list has rank 0 (integers) or infinity (floats), and scores 0.
With one held-out item a request, recall@k equals the hit rate and the ideal DCG is 1.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor


def hit_rate(rank: Num[Tensor, "..."], k: int) -> Float[Tensor, "..."]:
    """Return 1 if the held-out item is among the first `k`, else 0.

    >>> hit_rate(torch.tensor([1, 3, 4, 0]), 3)
    tensor([1., 1., 0., 0.], dtype=torch.float64)
    """
    return _found(rank, k).double()


def ndcg(rank: Num[Tensor, "..."], k: int) -> Float[Tensor, "..."]:
    """Return `1 / log2(rank + 1)` if the held-out item is among the first `k`, else 0; in `[0, 1]`.

    Source: Järvelin and Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques", with one relevant item.

    >>> ndcg(torch.tensor([1, 3, 4, 0]), 3)
    tensor([1.0000, 0.5000, 0.0000, 0.0000], dtype=torch.float64)
    """
    return torch.where(_found(rank, k), 1 / torch.log2(rank.double().clamp(min=1) + 1), 0.0)


def reciprocal_rank(rank: Num[Tensor, "..."], k: int) -> Float[Tensor, "..."]:
    """Return `1 / rank` if the held-out item is among the first `k`, else 0; in `[0, 1]`.

    >>> reciprocal_rank(torch.tensor([1, 4, 0]), 10)
    tensor([1.0000, 0.2500, 0.0000], dtype=torch.float64)
    """
    return torch.where(_found(rank, k), 1 / rank.double().clamp(min=1), 0.0)


def rank_in_list(items: Int[Tensor, "B K"], target: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
    """Return the place of each target in its list, from 1; 0 if it is not in the list. Of several places, the first.

    Entries of −1 are no item, and no target is found there.

    >>> rank_in_list(torch.tensor([[5, 2, 9], [5, 2, -1], [2, 2, 7]]), torch.tensor([2, 9, 2]))
    tensor([2, 0, 1])
    """
    found = (items == target.unsqueeze(1)) & (items >= 0)
    places = torch.arange(items.shape[1], 0, -1, device=items.device)
    last = (found * places).amax(1) if items.shape[1] else torch.zeros_like(target)
    return torch.where(last > 0, items.shape[1] + 1 - last, 0)


def rank_in_scores(scores: Float[Tensor, "B N"], target: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
    """Return the rank of each target among all items, by descending score. Ties go to the lower index.

    The rank is 0 if the score of the target is −inf, because it cannot be recommended.

    >>> rank_in_scores(torch.tensor([[0.1, 0.7, 0.7, 0.2], [0.1, 0.7, float("-inf"), 0.2]]), torch.tensor([2, 2]))
    tensor([2, 0])
    """
    own = scores.gather(1, target.unsqueeze(1))
    earlier = torch.arange(scores.shape[1], device=scores.device) < target.unsqueeze(1)
    rank = 1 + ((scores > own) | ((scores == own) & earlier)).sum(1)
    return torch.where(own.squeeze(1).isneginf(), 0, rank)


def _found(rank: Num[Tensor, "..."], k: int) -> Tensor:
    return (rank >= 1) & (rank <= k)
