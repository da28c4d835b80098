"""Metrics beyond accuracy: diversity of a list, novelty of its items, and coverage of the catalogue."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from recsys.metrics.lists import require_distinct


def exposure(items: Int[Tensor, "B K"], num_items: int) -> Int[Tensor, " N"]:
    """Return the number of lists that hold each item. Entries of −1 are no item.

    Raises:
        ValueError: a list holds an item twice, or an index outside `−1 .. N − 1`.

    >>> exposure(torch.tensor([[0, 2], [2, -1]]), 3)
    tensor([1, 0, 2])
    """
    require_distinct(items, num_items)
    return torch.bincount(items[items >= 0], minlength=num_items)


def coverage(items: Int[Tensor, "B K"], num_items: int) -> float:
    """Return the share of the catalogue that occurs in at least one list, in `[0, 1]`; 0 if there are no lists.

    Raises:
        ValueError: a list holds an item twice, or an index outside `−1 .. N − 1`.

    >>> coverage(torch.tensor([[0, 2], [2, -1]]), 4)
    0.5
    """
    return int((exposure(items, num_items) > 0).sum()) / num_items


def gini(counts: Num[Tensor, " N"]) -> float:
    """Return the Gini index of the exposure of items, `Σ_i (2i − N − 1) c_(i) / (N Σ c)` with `c_(1) ≤ … ≤ c_(N)`.

    The index is 0 if all items have the same exposure or if nothing was recommended, and `1 − 1/N` if one item has all
    of it.

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


def intra_list_distance(items: Int[Tensor, "B K"], vectors: Float[Tensor, "N D"]) -> Float[Tensor, " B"]:
    """Return the mean cosine distance `1 − cos(v_i, v_j)` over the pairs of items of each list, in `[0, 2]`.

    A list of fewer than two items has the value 0. An item with a zero vector has distance 1 from every other item. The
    pairs are not stored: for unit vectors `Σ_{i≠j} cos(v_i, v_j) = ‖Σ v‖² − Σ ‖v‖²`.

    Source: Ziegler et al. 2005, "Improving recommendation lists through topic diversification".

    Args:
        items: lists of items; −1 is no item.
        vectors: one vector an item, of any length.

    Raises:
        ValueError: a list holds an item twice, or an index outside `−1 .. N − 1`.

    >>> intra_list_distance(torch.tensor([[0, 1], [0, 2], [1, -1]]), torch.tensor([[1.0, 0], [0, 2], [3, 0]]))
    tensor([1., 0., 0.])
    """
    require_distinct(items, len(vectors))
    valid_mask = items >= 0
    unit = torch.nn.functional.normalize(vectors, dim=1)
    listed = unit[items.clamp(min=0)] * valid_mask.unsqueeze(-1)
    cosines = listed.sum(1).square().sum(-1) - listed.square().sum((1, 2))
    count = valid_mask.sum(1)
    pairs = (count * (count - 1)).clamp(min=1)
    return torch.where(count > 1, 1 - cosines / pairs, 0.0)


def self_information(counts: Num[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Return the self-information `−log2 p(i)` of each item in bits, with `p(i) = (c_i + 1) / Σ_j (c_j + 1)`.

    The added 1 keeps it finite for items without interactions.

    Args:
        counts: number of training interactions `c_i` of each item.

    >>> self_information(torch.tensor([3, 1, 1, 7]))
    tensor([2., 3., 3., 1.], dtype=torch.float64)
    """
    smoothed = counts.double() + 1
    return torch.log2(smoothed.sum()) - torch.log2(smoothed)


def novelty(items: Int[Tensor, "B K"], information: Float[Tensor, " N"]) -> Float[Tensor, " B"]:
    """Return the mean self-information of the items of each list, in bits; 0 for a list without items.

    Source: Zhou et al. 2010, "Solving the apparent diversity-accuracy dilemma of recommender systems".

    Args:
        items: lists of items; −1 is no item.
        information: self-information of each item, from `self_information`.

    Raises:
        ValueError: a list holds an item twice, or an index outside `−1 .. N − 1`.

    >>> novelty(torch.tensor([[0, 1], [3, -1]]), torch.tensor([2.0, 3.0, 3.0, 1.0]))
    tensor([2.5000, 1.0000])
    """
    require_distinct(items, len(information))
    valid_mask = items >= 0
    return (information[items.clamp(min=0)] * valid_mask).sum(1) / valid_mask.sum(1).clamp(min=1)


def distance_to_history(
    candidates: Float[Tensor, "#B N D"], history: Float[Tensor, "B W D"], known: Bool[Tensor, "B W"]
) -> Float[Tensor, "B N"]:
    """Return how new items are to users: `1 − max_w cos(v_i, v_w)`, in `[0, 2]`; 1 for an empty history.

    It takes memory for `B × W × N` numbers.

    Source: Vargas and Castells 2011, "Rank and relevance in novelty and diversity metrics", distance-based novelty; the
    nearest item counts instead of the mean of all, so that an item that the user has had is not new at all.

    Args:
        candidates: unit vectors of `N` items, of each user or the same for all.
        history: unit vectors of `W` items that each user had.
        known: true where the history holds an item; other rows of it are not read.

    >>> east, north = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    >>> had = torch.tensor([[True], [False]])
    >>> distance_to_history(torch.stack([east, north]).unsqueeze(0), torch.stack([east, east]).unsqueeze(1), had)
    tensor([[0., 1.],
            [1., 1.]])
    """
    some = history.gather(1, known.long().argmax(1).view(-1, 1, 1).expand(-1, 1, history.shape[2]))
    had = torch.where(known.unsqueeze(-1), history, some)  # an item twice changes no maximum
    if len(candidates) == 1:
        cosine = (had.flatten(0, 1) @ candidates[0].mT).unflatten(0, known.shape)
    else:
        cosine = had @ candidates.mT
    return 1 - torch.where(known.any(1, keepdim=True), cosine.amax(1), 0.0)
