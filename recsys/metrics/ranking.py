"""Metrics of the rank of a held-out item: hit rate, NDCG and reciprocal rank.

The first item has rank 1. An item that is not in the list has rank 0 or infinity, and scores 0. Where scores tie, ranks
are halves. With one held-out item a request, recall@k equals the hit rate and the ideal DCG is 1.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from recsys.metrics.lists import require_distinct


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
    """Return the rank of each target in its list of distinct items, from 1; 0 if it is not in the list.

    Args:
        items: lists of items, best first; −1 is no item, and no target is found there.
        target: the items that are looked for.

    Raises:
        ValueError: a list holds an item twice, or an index below −1.

    >>> rank_in_list(torch.tensor([[5, 2, 9], [5, 2, -1]]), torch.tensor([2, 9]))
    tensor([2, 0])
    """
    require_distinct(items)
    places = torch.arange(1, items.shape[1] + 1, device=items.device)
    return ((items == target.unsqueeze(1)) & (items >= 0)).mul(places).sum(1)


def rank_in_scores(scores: Float[Tensor, "B N"], target: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
    """Return the rank of each target among all items, by descending score: `1 + #{higher} + #{equal others} / 2`.

    Ties count as the mean of the ranks that they share, so a scorer gains nothing by making no difference. The rank is
    0 if the score of the target is −inf, because it cannot be recommended, or if any score of the row is NaN, because
    the row has no order. float64.

    Args:
        scores: a score of every item; higher is better.
        target: the items whose ranks are asked for, from `0 .. N − 1`.

    Raises:
        ValueError: a target is no item.

    >>> nan, none = float("nan"), float("-inf")
    >>> scores = torch.tensor([[0.1, 0.7, 0.7, 0.2], [0.1, 0.7, none, 0.2], [0.1, nan, 0.7, 0.2]])
    >>> rank_in_scores(scores, torch.tensor([2, 2, 2]))
    tensor([1.5000, 0.0000, 0.0000], dtype=torch.float64)
    """
    outside = (target < 0) | (target >= scores.shape[1])
    if outside.any():
        row = int(outside.nonzero()[0])
        raise ValueError(
            f"request {row} has target {int(target[row])}, expected an item from 0 to {scores.shape[1] - 1}"
        )
    own = scores.gather(1, target.unsqueeze(1))
    tied = (scores == own).sum(1) - 1
    rank = 1 + (scores > own).sum(1) + tied.double() / 2
    unranked = own.squeeze(1).isneginf() | scores.isnan().any(1)
    return rank.masked_fill(unranked, 0.0)


def _found(rank: Num[Tensor, "..."], k: int) -> Tensor:
    return (rank >= 1) & (rank <= k)
