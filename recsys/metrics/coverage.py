"""How much of the catalogue recommendations reach, and how evenly."""

from __future__ import annotations

import torch
from jaxtyping import Int, Num
from torch import Tensor


def exposure(items: Int[Tensor, "B K"], num_items: int) -> Int[Tensor, " N"]:
    """How often each item stands in the lists; −1 is no item.

    >>> exposure(torch.tensor([[0, 2], [2, -1]]), 3)
    tensor([1, 0, 2])
    """
    return torch.bincount(items[items >= 0], minlength=num_items)


def coverage(items: Int[Tensor, "B K"], num_items: int) -> float:
    """Share of the catalogue that stands in at least one list; in `[0, 1]`, 0 without lists.

    >>> coverage(torch.tensor([[0, 2], [2, -1]]), 4)
    0.5
    """
    return int((exposure(items, num_items) > 0).sum()) / num_items


def gini(counts: Num[Tensor, " N"]) -> float:
    """Gini index of how unevenly exposure is spread: 0 if every item has the same, `1 − 1/N` if one has it all.

    `Σ_i (2i − N − 1) c_(i) / (N Σ c)` with `c_(1) ≤ … ≤ c_(N)`; 0 where nothing was recommended.
    Source: Castells, Hurley and Vargas 2022, "Novelty and diversity in recommender systems".

    >>> gini(torch.tensor([1, 1, 1, 1])), gini(torch.tensor([0, 0, 0, 5])), gini(torch.tensor([1, 3]))
    (0.0, 0.75, 0.25)
    """
    ordered = counts.double().sort().values
    size, total = len(ordered), float(ordered.sum())
    if total == 0:
        return 0.0
    places = torch.arange(1, size + 1, dtype=torch.float64, device=counts.device)
    return float(((2 * places - size - 1) * ordered).sum()) / (size * total)
