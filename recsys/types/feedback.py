"""What users did with the slates they were shown, channel by channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from jaxtyping import Float
from torch import Tensor

from recsys.types.record import TensorRecord

REWARD = "reward"
"""Name of the channel that learning and bench maximise where a simulator names one number."""


class ChannelKind(StrEnum):
    """What the numbers of a channel are."""

    BINARY = "binary"
    """0 or 1: it happened or not (a click, a like)."""
    COUNT = "count"
    """0, 1, 2, …: how often it happened."""
    SECONDS = "seconds"
    """At least 0: how long it took (watch time)."""
    RATING = "rating"
    """A grade on a scale of its own."""
    NUMBER = "number"
    """Any finite number (a reward)."""


@dataclass(frozen=True)
class Channel(TensorRecord):
    """One kind of feedback on `G` slates for each of `B` requests.

    Args:
        value: `[B, G]` (one a slate) or `[B, G, S]` (one a slot); 0 where nothing was shown.
        kind: what the numbers are.
        unit: of the numbers, for people ("s", "stars"); empty where there is none.
    """

    value: Float[Tensor, "B G *S"]
    kind: ChannelKind = ChannelKind.NUMBER
    unit: str = ""


@dataclass(frozen=True)
class Feedback(TensorRecord):
    """What users did, by the name of the channel.

    Args:
        channels: `click`, `watch_time`, `like`, `rating`, `reward`, …
        propensity: `[B, G]`, in (0, 1]: the probability with which the logging policy chose each slate; None where it
            was not recorded.

    >>> import torch
    >>> Feedback.of_reward(torch.tensor([[[0.0, 2.0]]])).reward
    tensor([[[0., 2.]]])
    """

    channels: Mapping[str, Channel] = field(default_factory=dict)
    propensity: Float[Tensor, "B G"] | None = None

    @classmethod
    def of_reward(cls, reward: Float[Tensor, "B G *S"], propensity: Float[Tensor, "B G"] | None = None) -> Feedback:
        """Return feedback with the one channel `reward`.

        Args:
            reward: `[B, G]` (a slate) or `[B, G, S]` (a slot).
            propensity: see the class.
        """
        return cls({REWARD: Channel(reward)}, propensity)

    @property
    def reward(self) -> Float[Tensor, "B G *S"]:
        """The channel `reward`.

        Raises:
            KeyError: there is none; the message names those that there are.
        """
        return self[REWARD]

    def __getitem__(self, name: str) -> Float[Tensor, "B G *S"]:
        """Return the numbers of a channel.

        Raises:
            KeyError: there is none of that name; the message names those that there are.
        """
        if name not in self.channels:
            raise KeyError(f"no feedback channel {name!r}: there are {', '.join(self.channels) or 'none'}")
        return self.channels[name].value
