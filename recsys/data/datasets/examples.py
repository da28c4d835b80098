"""Examples of a log of slates: contexts with what was taken before, the slates shown, and all their feedback."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from recsys.data.datasets.slate_log import SlateLog
from recsys.data.logs.histories import Histories
from recsys.errors import ConfigurationError
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.feedback import Channel, ChannelKind, Feedback
from recsys.types.jagged import Jagged
from recsys.types.slates import SamplingMethod, Slates

CLICK = "click"
"""The channel of clicks."""

UNITS = {ChannelKind.SECONDS: "s"}


@dataclass(frozen=True)
class SlateExamples:
    """The `R` impressions of a log as examples, made when they are asked for.

    A context holds what its user took before: what the log's source knows from before the log, then the items of
    earlier slates that earned more than 0 of the channel `taken`. What was shown in one second was taken after it.
    Nothing is excluded. Slates have as many slots as the log's longest one; the slots that a slate lacks hold item −1
    and feedback 0. Their log-probability is that of the policy which showed them where the log has it for each slot
    given the slots before it, else 0.

    Args:
        log: the impressions.
        taken: the channel that says what entered the history: `click`, or one of the log's feedback with one number a
            slot.
        max_length: most items of a history, the most recent ones; None gives all.

    Raises:
        ConfigurationError: there is no such channel, or it has one number a slate.
    """

    log: SlateLog
    taken: str = CLICK
    max_length: int | None = None

    def __post_init__(self) -> None:
        by_slot = [name for name, channel in self.log.feedback.items() if isinstance(channel.value, Jagged)]
        if self.taken != CLICK and self.taken not in by_slot:
            found = ", ".join([CLICK, *(name for name in by_slot if name != CLICK)])
            raise ConfigurationError(
                f"taken: {self.log.name} has no feedback {self.taken!r} with one number a slot; found {found}"
            )

    def __len__(self) -> int:
        return len(self.log)

    @property
    def slots(self) -> int:
        """`S`, of the longest slate."""
        return int(self.log.slates.lengths.max())

    def select(self, rows: Int[Tensor, " B"]) -> Example:
        """Return the examples of the named impressions, in the order named.

        Args:
            rows: `[B]`, each in `0 … R − 1`.
        """
        log = self.log
        users = log.user_indices()[rows]
        history = self._histories.at(rows)
        if log.before is not None:
            history = log.before.select(users).append(history)
        context = Context(users, history, Jagged.empty(len(rows)))
        return Example(
            context if self.max_length is None else context.recent(self.max_length),
            self._slates(rows),
            Feedback(self._channels(rows), self._propensity(rows)),
        )

    @cached_property
    def _histories(self) -> Histories:
        """What each user took, and how much of it before each impression, which stand by user and time."""
        log, took = self.log, self._took()
        count = torch.zeros(len(log), dtype=torch.int64).index_add(0, log.slates.row_ids(), took.long())
        users = log.user_indices()
        lengths = torch.zeros(log.num_users, dtype=torch.int64).index_add(0, users, count)
        taken = Jagged.from_lengths(log.slates.values[took], lengths)
        earlier = torch.cat([count.new_zeros(1), count.cumsum(0)])
        times = log.times()
        first = torch.arange(len(log))
        again = torch.zeros(len(log), dtype=torch.bool)
        again[1:] = (users[1:] == users[:-1]) & (times[1:] == times[:-1]) & log.timed
        first = torch.where(again, 0, first).cummax(0).values
        return Histories(taken, users, earlier[first] - taken.offsets[users])

    def _took(self) -> Bool[Tensor, " total"]:
        """True at the slots whose item entered the history."""
        log = self.log
        if self.taken in log.feedback:
            value = log.feedback[self.taken].value
            assert isinstance(value, Jagged)
            return value.values > 0
        took = torch.zeros(len(log.slates.values), dtype=torch.bool)
        took[log.slates.offsets[log.clicks.row_ids()] + log.clicks.values] = True
        return took

    def _slates(self, rows: Int[Tensor, " B"]) -> Slates:
        log = self.log
        items = log.slates.select(rows).to_padded(-1, self.slots).unsqueeze(1)
        log_prob = torch.zeros(items.shape)
        if log.prefix_propensities is not None:
            log_prob = log.prefix_propensities.select(rows).to_padded(1.0, self.slots).log().float().unsqueeze(1)
        return Slates(items, log_prob, SamplingMethod.GIVEN)

    def _channels(self, rows: Int[Tensor, " B"]) -> dict[str, Channel]:
        clicks = self.log.clicks.select(rows)
        clicked = torch.zeros(len(rows), 1, self.slots)
        clicked[clicks.row_ids(), 0, clicks.values] = 1.0
        channels = {CLICK: Channel(clicked, ChannelKind.BINARY)}
        for name, channel in self.log.feedback.items():
            value = channel.value
            shown = value[rows] if isinstance(value, Tensor) else value.select(rows).to_padded(0.0, self.slots)
            channels[name] = Channel(shown.unsqueeze(1), channel.kind, UNITS.get(channel.kind, ""))
        return channels

    def _propensity(self, rows: Int[Tensor, " B"]) -> Tensor | None:
        log = self.log
        if log.propensity is not None:
            return log.propensity[rows].unsqueeze(1)
        if log.prefix_propensities is None:
            return None
        return log.prefix_propensities.select(rows).to_padded(1.0, self.slots).prod(1).unsqueeze(1)
