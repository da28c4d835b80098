from __future__ import annotations

import pytest
import torch

from recsys.errors import RequestError
from recsys.rewards.feedback import ChannelReward, is_consumed
from recsys.rewards.reward import Reward
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.feedback import Channel, ChannelKind, Feedback
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates

SLATES = Slates(torch.tensor([[[3, 1, -1]], [[-1, -1, -1]]]), torch.zeros(2, 1, 3, dtype=torch.float64))
CHANNELS = {
    "reward": Channel(torch.tensor([[[2.0, 0.0, 7.0]], [[5.0, 0.0, 0.0]]])),
    "watch_time": Channel(torch.tensor([[30.0], [4.0]]), ChannelKind.SECONDS, "s"),
}
EXAMPLE = Example(Context(torch.arange(2), Jagged.empty(2), Jagged.empty(2)), SLATES, Feedback(CHANNELS))


def test_a_channel_is_paid_for_what_was_shown() -> None:
    reward = ChannelReward()
    assert isinstance(reward, Reward)
    found = reward(EXAMPLE, SLATES)
    assert found.dtype == torch.float64 and found.tolist() == [[[2.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]]]
    assert ChannelReward("watch_time")(EXAMPLE, SLATES).tolist() == [[30.0], [0.0]]


def test_consumed_is_what_has_a_value() -> None:
    assert is_consumed(EXAMPLE, SLATES, "reward").tolist() == [[[True, False, False]], [[False] * 3]]
    with pytest.raises(RequestError, match="'watch_time' has one value a slate, expected one a slot"):
        is_consumed(EXAMPLE, SLATES, "watch_time")


def test_equal_slates_are_what_was_shown_and_others_are_refused() -> None:
    same = Slates(SLATES.items.clone(), SLATES.log_prob)
    assert torch.equal(ChannelReward()(EXAMPLE, same), ChannelReward()(EXAMPLE, SLATES))
    with pytest.raises(RequestError, match="the slates to reward are others"):
        ChannelReward()(EXAMPLE, Slates(SLATES.items.roll(1, -1), SLATES.log_prob))
    with pytest.raises(RequestError, match="the slates to reward are others"):
        ChannelReward()(EXAMPLE, Slates(SLATES.items[..., :2], SLATES.log_prob[..., :2]))


def test_a_missing_channel_is_named() -> None:
    with pytest.raises(RequestError, match="no feedback channel 'like'; found reward, watch_time"):
        ChannelReward("like")(EXAMPLE, SLATES)
