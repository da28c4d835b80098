"""The policy that knows what the world hides."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from recsys.data.context import Context
from recsys.policies.greedy import Greedy

TRUTH = "truth"
"""The feature under which an oracle finds what each item is worth now."""


class Oracle(Greedy):
    """The items that are worth most to the user at this step, best first; it does not look ahead.

    Args:
        num_items: `N`.
    """

    needs_truth = True

    def __init__(self, num_items: int) -> None:
        super().__init__(_Truth(num_items))


class _Truth:
    def __init__(self, num_items: int) -> None:
        self.num_items = num_items

    def scores(self, context: Context) -> Float[Tensor, "B N"]:
        """What the bench says."""
        return context.features[TRUTH]
