"""The check of recommended lists that every metric of lists begins with."""

from __future__ import annotations

from jaxtyping import Int
from torch import Tensor


def require_distinct(items: Int[Tensor, "B K"], num_items: int | None = None) -> None:
    """Refuse lists that hold an item twice: the places behind a repeat, and shares of a list, would have two meanings.

    Args:
        items: lists of items; −1 is no item and may be repeated.
        num_items: number of items `N` of the catalogue; None where the metric reads nothing of the items.

    Raises:
        ValueError: names the first such list and its item, or the first that holds an index outside `−1 .. N − 1`.
    """
    ordered = items.sort(1).values
    outside = ordered < -1 if num_items is None else (ordered < -1) | (ordered >= num_items)
    if outside.any():
        row, place = outside.nonzero()[0].tolist()
        raise ValueError(
            f"list {row} of {len(items)} holds item {int(ordered[row, place])}, expected items from 0"
            f"{'' if num_items is None else f' to {num_items - 1}'}, or -1 for no item"
        )
    repeated = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if repeated.any():
        row, place = repeated.nonzero()[0].tolist()
        raise ValueError(
            f"list {row} of {len(items)} recommends item {int(ordered[row, place])} twice; metrics expect distinct "
            "items: keep the first place of each, and fill up with -1"
        )
