"""Rewards from what users did with the slates that they were shown."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor
from typing_extensions import override

from recsys.errors import RequestError
from recsys.rewards.reward import Reward
from recsys.types.example import Example
from recsys.types.slates import Slates


class ChannelReward(Reward):
    """The value of a feedback channel: consumption, watch time, likes. 0 for empty slots.

    Args:
        channel: its name.
    """

    order_matters = True
    bounds = None

    def __init__(self, channel: str = "reward") -> None:
        self.channel = channel

    @override
    def __call__(self, example: Example, slates: Slates) -> Float[Tensor, "B G *S"]:
        """Return `[B, G]` or `[B, G, S]`, in the unit of the channel.

        Raises:
            RequestError: the slates are not those that the feedback is about, or it has no such channel.
        """
        value = feedback_to(example, slates, self.channel)
        empty = slates.items < 0 if value.ndim == 3 else (slates.items < 0).all(-1)
        return value.masked_fill(empty, 0.0).to(slates.log_prob.dtype)


def feedback_to(example: Example, slates: Slates, channel: str) -> Float[Tensor, "B G *S"]:
    """Return the values of a channel, once it is known that they are about these slates.

    Raises:
        RequestError: the slates are others than those that were shown, or there is no such channel.
    """
    shown = example.slates.items
    if shown is not slates.items and (shown.shape != slates.items.shape or bool((shown != slates.items).any())):
        raise RequestError(
            f"the channel {channel!r} says what users did with the slates that they were shown, and the slates to "
            "reward are others: reward what was shown, or take a reward that predicts"
        )
    if channel not in example.feedback.channels:
        raise RequestError(f"no feedback channel {channel!r}; found {', '.join(example.feedback.channels) or 'none'}")
    return example.feedback[channel]


def is_consumed(example: Example, slates: Slates, channel: str) -> Bool[Tensor, "B G S"]:
    """Return which shown items a user consumed: those with a value above 0 in a channel of slots.

    Raises:
        RequestError: see `feedback_to`; or the channel has one value a slate.
    """
    value = feedback_to(example, slates, channel)
    if value.ndim < 3:
        raise RequestError(f"the channel {channel!r} has one value a slate, expected one a slot")
    return (value > 0) & (slates.items >= 0)
