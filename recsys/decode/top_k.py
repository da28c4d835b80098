"""The largest scores of each row, with a fixed pseudo-random order of equal scores."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

SEED = 0x243F6A88
"""Seed of the order of equal scores."""

LOW, HIGH = 0x7FEB352D, 0x846CA68B


def top_k(
    scores: Float[Tensor, "B X"],
    k: int,
    requests: Int[Tensor, " B"] | None = None,
    names: Int[Tensor, "#B X"] | None = None,
) -> tuple[Float[Tensor, "B k"], Int[Tensor, "B k"]]:
    """Return the `k` largest scores of each row, falling, and their positions; equal scores in the order of `tie_keys`.

    Positions often follow from raw ids. If equal scores went to the lowest position, renaming items would change which
    are shown, and a metric would measure the names. `torch.topk` leaves this order open. Only rows with a tie among
    their best pay for the order. Ties at −inf stay as they fall, since no item stands there.

    Args:
        scores: `[B, X]`; NaN counts as the largest, so that whoever looks at the best sees it.
        k: from 1 to `X`.
        requests: a number of each row, such as its user. Rows with other numbers have other orders; None is 0 for all.
        names: what stands at each position, such as an item, where the position does not say; its number, instead of
            the position, fixes the order.

    >>> scores = torch.tensor([[1.0, 3.0, 1.0, 3.0, 1.0]])
    >>> top_k(scores, 4, torch.tensor([7]))  # here 3 is before 1, and 2 and 0 before 4
    (tensor([[3., 3., 1., 1.]]), tensor([[3, 1, 2, 0]]))
    """
    values, indices = scores.topk(min(k + 1, scores.shape[-1]), dim=-1)
    tied = (values[:, 1:] == values[:, :-1]) & values[:, 1:].isfinite()
    straddling = tied[:, k - 1 :].any(-1).nonzero().squeeze(-1)
    inside = tied.any(-1).nonzero().squeeze(-1)
    values, indices = values[:, :k], indices[:, :k]
    if not inside.numel():
        return values, indices
    rows = torch.zeros(len(scores), dtype=torch.int64, device=scores.device) if requests is None else requests
    if straddling.numel():
        last = values[straddling, k - 1 :]
        here = torch.arange(scores.shape[-1], device=scores.device) if names is None else _of_rows(names, straddling)
        keys = tie_keys(rows[straddling].unsqueeze(1), here).masked_fill(scores[straddling] != last, -1)
        chosen = keys.topk(k, dim=-1).indices
        better = (values[straddling] > last).sum(-1, keepdim=True)
        place = torch.arange(k, device=scores.device) - better
        taken = torch.where(place < 0, indices[straddling], chosen.gather(1, place.clamp(min=0)))
        indices = indices.index_copy(0, straddling, taken)
    found = indices[inside]
    here = found if names is None else _of_rows(names, inside).gather(1, found)
    order = tie_keys(rows[inside].unsqueeze(1), here).argsort(dim=-1, descending=True, stable=True)
    order = order.gather(1, values[inside].gather(1, order).argsort(dim=-1, descending=True, stable=True))
    return values, indices.index_copy(0, inside, found.gather(1, order))


def _of_rows(names: Int[Tensor, "#B X"], rows: Int[Tensor, " R"]) -> Int[Tensor, "R X"]:
    return names[rows] if len(names) > 1 else names.expand(len(rows), -1)


def tie_keys(requests: Int[Tensor, "*#shape"], positions: Int[Tensor, "*#shape"]) -> Int[Tensor, "*shape"]:
    """Return a pseudo-random number in `0 .. 2³² − 1` of each request and position; of equal scores, the largest wins.

    The numbers are the same on every machine. They are a hash in 32 bits, twice applied, with `requests` and
    `positions` broadcast against each other.

    Source: Wellons 2018, "Prospecting for hash functions" (lowbias32).

    Args:
        requests: numbers of requests.
        positions: positions in a row of scores.

    >>> tie_keys(torch.tensor([7, 7, 8]), torch.tensor([0, 1, 0])).unique().numel()
    3
    """
    return _mixed(_mixed(requests + SEED) + positions)


def _mixed(number: Tensor) -> Tensor:
    number = number & 0xFFFFFFFF
    number = ((number ^ (number >> 16)) * LOW) & 0xFFFFFFFF
    number = ((number ^ (number >> 15)) * HIGH) & 0xFFFFFFFF
    return number ^ (number >> 16)
