"""Where the held-out item stands in a ranking, and what that is worth.

A rank is 1 for the first item. An item that is not in the list has rank 0 (integers) or infinity (floats); it scores 0.
With one held-out item a request, recall@k is the hit rate and the ideal DCG is 1.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor


def hit_rate(rank: Num[Tensor, ...], k: int) -> Float[Tensor, ...]:
    """1 where the held-out item is among the first `k`, else 0.

    >>> hit_rate(torch.tensor([1, 3, 4, 0]), 3)
    tensor([1., 1., 0., 0.], dtype=torch.float64)
    """
    return _found(rank, k).double()


def ndcg(rank: Num[Tensor, ...], k: int) -> Float[Tensor, ...]:
    """`1 / log2(rank + 1)` where the held-out item is among the first `k`, else 0; in `[0, 1]`.

    Source: Järvelin and Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques", with one relevant item.

    >>> ndcg(torch.tensor([1, 3, 4, 0]), 3)
    tensor([1.0000, 0.5000, 0.0000, 0.0000], dtype=torch.float64)
    """
    return torch.where(_found(rank, k), 1 / torch.log2(rank.double().clamp(min=1) + 1), 0.0)


def reciprocal_rank(rank: Num[Tensor, ...], k: int) -> Float[Tensor, ...]:
    """`1 / rank` where the held-out item is among the first `k`, else 0; in `[0, 1]`.

    >>> reciprocal_rank(torch.tensor([1, 4, 0]), 10)
    tensor([1.0000, 0.2500, 0.0000], dtype=torch.float64)
    """
    return torch.where(_found(rank, k), 1 / rank.double().clamp(min=1), 0.0)


def rank_in_list(items: Int[Tensor, "B K"], target: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
    """Rank of each target in its list of distinct items; 0 where it is not in the list.

    >>> rank_in_list(torch.tensor([[5, 2, 9], [5, 2, -1]]), torch.tensor([2, 9]))
    tensor([2, 0])
    """
    places = torch.arange(1, items.shape[1] + 1, device=items.device)
    return ((items == target.unsqueeze(1)) * places).sum(1)


def rank_in_scores(scores: Float[Tensor, "B N"], target: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
    """Rank of each target among all items by falling score; of equal scores the lowest index comes first.

    0 where the target's score is −inf: it cannot be recommended.

    >>> rank_in_scores(torch.tensor([[0.1, 0.7, 0.7, 0.2], [0.1, 0.7, float("-inf"), 0.2]]), torch.tensor([2, 2]))
    tensor([2, 0])
    """
    own = scores.gather(1, target.unsqueeze(1))
    earlier = torch.arange(scores.shape[1], device=scores.device) < target.unsqueeze(1)
    rank = 1 + ((scores > own) | ((scores == own) & earlier)).sum(1)
    return torch.where(own.squeeze(1).isneginf(), 0, rank)


def _found(rank: Num[Tensor, ...], k: int) -> Tensor:
    return (rank >= 1) & (rank <= k)
