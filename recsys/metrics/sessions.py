"""Accuracy of sessions: how much of what a user engaged with a recommended session holds."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.metrics.lists import require_distinct


def session_recall(
    items: Int[Tensor, "B S"], logged: Int[Tensor, "B M"], engaged: Bool[Tensor, "B M"]
) -> Float[Tensor, " B"]:
    """Return the share of the engaged items that the session holds, in [0, 1]; NaN where nothing was engaged.

    Args:
        items: recommended sessions of distinct items; −1 is no item.
        logged: sessions of the log, of distinct items; −1 is no item.
        engaged: the logged items that the user engaged with.

    Raises:
        ValueError: a session holds an item twice.

    >>> session_recall(torch.tensor([[4, 7, 1]]), torch.tensor([[7, 2, 4]]), torch.tensor([[True, True, False]]))
    tensor([0.5000])
    """
    require_distinct(items)
    require_distinct(logged)
    found = _held(items, logged, engaged).any(1).sum(-1)
    return found / _count(logged, engaged)


def session_ndcg(
    items: Int[Tensor, "B S"], logged: Int[Tensor, "B M"], engaged: Bool[Tensor, "B M"]
) -> Float[Tensor, " B"]:
    """Return the NDCG of the session with gain 1 for each engaged item, in [0, 1]; NaN where nothing was engaged.

    `DCG = Σ_s 1[item s engaged] / log₂(s + 1)` with `s` from 1, over that of a session that begins with all engaged
    items.

    Args:
        items: see `session_recall`.
        logged: see `session_recall`.
        engaged: see `session_recall`.

    Raises:
        ValueError: a session holds an item twice.

    >>> session_ndcg(torch.tensor([[7, 1]]), torch.tensor([[7, 2, 4]]), torch.tensor([[True, False, False]]))
    tensor([1.])
    """
    require_distinct(items)
    require_distinct(logged)
    slots = items.shape[1]
    discount = 1 / torch.log2(torch.arange(slots, device=items.device) + 2.0)
    gained = (_held(items, logged, engaged).any(-1) * discount).sum(-1)
    count = _count(logged, engaged)
    best = torch.nn.functional.pad(discount.cumsum(0), (1, 0))[count.nan_to_num(0).long().clamp(max=slots)]
    return (gained / best).masked_fill(count.isnan(), float("nan"))


def _held(items: Int[Tensor, "B S"], logged: Int[Tensor, "B M"], engaged: Bool[Tensor, "B M"]) -> Bool[Tensor, "B S M"]:
    return (items.unsqueeze(2) == logged.unsqueeze(1)) & (engaged & (logged >= 0)).unsqueeze(1)


def _count(logged: Int[Tensor, "B M"], engaged: Bool[Tensor, "B M"]) -> Float[Tensor, " B"]:
    """Return the number of engaged items, NaN for none."""
    count = (engaged & (logged >= 0)).sum(-1).float()
    return count.masked_fill(count == 0, float("nan"))
