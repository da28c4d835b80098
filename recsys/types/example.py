"""Logged requests with their answers, which losses and metrics read."""

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
    """`B` logged requests with their answers.

    In next-item data the answer is one slate of one slot (`G = S = 1`): the next item of the user.

    Args:
        context: the requests as a policy sees them.
        slates: the slates that were shown, or the items that users took.
        feedback: feedback to the slates. It has no channels if the log only says that the item was taken.
    """

    context: Context
    slates: Slates
    feedback: Feedback = field(default_factory=Feedback)

    @classmethod
    def next_item(cls, context: Context, item: Int[Tensor, " B"]) -> Example:
        """Return examples whose answer is one item each.

        Args:
            context: `B` requests.
            item: `[B]`, the next item of each.
        """
        items = item.view(-1, 1, 1)
        return cls(context, Slates(items, items.new_zeros(items.shape).float(), SamplingMethod.GIVEN))

    def __len__(self) -> int:
        return len(self.context)

    @property
    def item(self) -> Int[Tensor, " B"]:
        """The logged item of each request, `[B]`, if answers are single items.

        Raises:
            ValueError: the logged answers are not single items.
        """
        if self.slates.items.shape[1:] != (1, 1):
            raise ValueError(
                f"expected one logged item a request, found slates of shape {tuple(self.slates.items.shape)}"
            )
        return self.slates.items[:, 0, 0]
