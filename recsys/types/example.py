"""A logged request with its answer: what every loss and every metric reads."""

from __future__ import annotations

from dataclasses import dataclass, field

from jaxtyping import Int
from torch import Tensor

from recsys.types.context import Context
from recsys.types.feedback import Feedback
from recsys.types.record import TensorRecord
from recsys.types.slates import SamplingMethod, Slates


@dataclass(frozen=True)
class Example(TensorRecord):
    """`B` logged requests.

    Next-item data is the case of one slate of one slot (`G = S = 1`): the item that the user took next.

    Args:
        context: what a policy may see of the requests.
        slates: what they were answered with, or what users took.
        feedback: what users did with it; without channels where the log says no more than that it was taken.
    """

    context: Context
    slates: Slates
    feedback: Feedback = field(default_factory=Feedback)

    @classmethod
    def next_item(cls, context: Context, item: Int[Tensor, " B"]) -> Example:
        """Return examples whose answer is one item each.

        Args:
            context: `B` requests.
            item: `[B]`, the item that each took next.
        """
        items = item.view(-1, 1, 1)
        return cls(context, Slates(items, items.new_zeros(items.shape).float(), SamplingMethod.GIVEN))

    def __len__(self) -> int:
        return len(self.context)

    @property
    def item(self) -> Int[Tensor, " B"]:
        """`[B]`, the one logged item of each request.

        Raises:
            ValueError: the logged answers are not single items.
        """
        if self.slates.items.shape[1:] != (1, 1):
            raise ValueError(f"expected one logged item a request, logged slates are {tuple(self.slates.items.shape)}")
        return self.slates.items[:, 0, 0]
