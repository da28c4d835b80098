"""The check of recommended lists that every metric of lists begins with."""

from __future__ import annotations

from jaxtyping import Int
from torch import Tensor


def require_distinct(items: Int[Tensor, "B K"]) -> None:
    """Refuse lists that hold an item twice: the places behind a repeat, and shares of a list, would have two meanings.

    Args:
        items: lists of items; −1 is no item and may be repeated.

    Raises:
        ValueError: names the first such list and its item.
    """
    ordered = items.sort(1).values
    repeated = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if repeated.any():
        row, place = repeated.nonzero()[0].tolist()
        raise ValueError(
            f"list {row} of {len(items)} recommends item {int(ordered[row, place])} twice; metrics expect distinct "
            "items: keep the first place of each, and fill up with -1"
        )
