"""Feedback of users to slates, in named channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from jaxtyping import Float
from torch import Tensor

from recsys.types.record import TensorRecord

REWARD = "reward"
"""Name of the channel that learning and the bench maximise."""


class ChannelKind(StrEnum):
    """The kinds of values that a channel can hold."""

    BINARY = "binary"
    """0 or 1: an event such as a click or a like."""
    COUNT = "count"
    """0, 1, 2, …: the number of events."""
    SECONDS = "seconds"
    """At least 0: a duration such as watch time."""
    RATING = "rating"
    """A rating on any scale."""
    NUMBER = "number"
    """Any finite number, such as a reward."""


@dataclass(frozen=True)
class Channel(TensorRecord):
    """One kind of feedback on `G` slates for each of `B` requests.

    Args:
        value: `[B, G]`, one value a slate, or `[B, G, S]`, one value a slot; 0 if nothing was shown.
        kind: kind of the values.
        unit: unit of the values in reports, such as "s" or "stars"; empty if they have none.
    """

    value: Float[Tensor, "B G *S"]
    kind: ChannelKind = ChannelKind.NUMBER
    unit: str = ""


@dataclass(frozen=True)
class Feedback(TensorRecord):
    """Feedback of users to `G` slates for each of `B` requests.

    Args:
        channels: channels by name, such as `click`, `watch_time`, `like`, `rating` or `reward`.
        propensity: `[B, G]`, probability of each slate under the logging policy, in (0, 1]; None if it was not
            recorded.

    >>> import torch
    >>> Feedback.of_reward(torch.tensor([[[0.0, 2.0]]])).reward
    tensor([[[0., 2.]]])
    """

    channels: Mapping[str, Channel] = field(default_factory=dict)
    propensity: Float[Tensor, "B G"] | None = None

    @classmethod
    def of_reward(cls, reward: Float[Tensor, "B G *S"], propensity: Float[Tensor, "B G"] | None = None) -> Feedback:
        """Return feedback with the only channel `reward`.

        Args:
            reward: `[B, G]`, one reward a slate, or `[B, G, S]`, one a slot.
            propensity: as in the class.
        """
        return cls({REWARD: Channel(reward)}, propensity)

    @property
    def reward(self) -> Float[Tensor, "B G *S"]:
        """The values of the channel `reward`.

        Raises:
            KeyError: there is no such channel. The message lists the channels.
        """
        return self[REWARD]

    def __getitem__(self, name: str) -> Float[Tensor, "B G *S"]:
        """Return the values of a channel.

        Raises:
            KeyError: there is no such channel. The message lists the channels.
        """
        if name not in self.channels:
            raise KeyError(f"no feedback channel {name!r}; found {', '.join(self.channels) or 'none'}")
        return self.channels[name].value
