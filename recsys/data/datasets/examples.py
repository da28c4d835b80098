"""Examples from a log of slates: contexts with the items taken before, the slates shown, and their feedback."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from recsys.data.datasets.slate_log import CLICK, SlateLog
from recsys.data.logs.histories import Histories
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.feedback import Channel, ChannelKind, Feedback
from recsys.types.jagged import Jagged
from recsys.types.slates import SamplingMethod, Slates

UNITS = {ChannelKind.SECONDS: "s"}


@dataclass(frozen=True)
class SlateExamples:
    """The `R` impressions of a log as examples, which are computed on access.

    - Context: the history holds the items that the user took before: those that the source knows from before the log,
      then items of earlier slates with a value above 0 in the channel `taken`. Impressions of the same second do not
      see each other's items. No items are excluded.
    - Slates: they have as many slots as the longest slate of the log. Missing slots hold item −1 and feedback 0. The
      log-probabilities are those of the logging policy if the log has them for each slot given the earlier ones, else
      0.

    Args:
        log: the impressions.
        taken: channel whose positive values put an item into the history: `click`, or a channel of the log with one
            number a slot.
        max_length: histories are cut to this number of most recent items; None keeps them whole.

    Raises:
        DataError: the log has no such channel, or the channel has one number a slate.
    """

    log: SlateLog
    taken: str = CLICK
    max_length: int | None = None

    def __post_init__(self) -> None:
        _ = self._took  # refuses a channel that the log lacks

    def __len__(self) -> int:
        return len(self.log)

    @property
    def slots(self) -> int:
        """Number of slots `S` of the longest slate."""
        return int(self.log.slates.lengths.max())

    def select(self, rows: Int[Tensor, " B"]) -> Example:
        """Return the examples of the given impressions, in their order.

        Args:
            rows: `[B]`, indices of impressions, from `0 … R − 1`.
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

    def complete(self) -> Jagged:
        """Return all that each user took, before the log and in it, one row a user, oldest first."""
        taken, before = self._histories.taken, self.log.before
        return taken if before is None else before.append(taken)

    def taken_from(self, impressions: Bool[Tensor, " R"]) -> Jagged:
        """Return the items that each user took from some of the impressions, one row a user, oldest first.

        Args:
            impressions: `[R]`, true for the impressions that are read.
        """
        log = self.log
        took = self._took & impressions[log.slates.row_ids()]
        users = log.user_indices()[log.slates.row_ids()[took]]
        return Jagged.from_lengths(log.slates.values[took], torch.bincount(users, minlength=log.num_users))

    @cached_property
    def _took(self) -> Bool[Tensor, " total"]:
        """Mask of the slots whose item enters the history."""
        return self.log.slot_values(self.taken) > 0

    @cached_property
    def _histories(self) -> Histories:
        """The items that each user took, and their number before each impression."""
        log, took = self.log, self._took
        count = torch.zeros(len(log), dtype=torch.int64).index_add(0, log.slates.row_ids(), took.long())
        users = log.user_indices()
        taken = self.taken_from(torch.ones(len(log), dtype=torch.bool))
        earlier = torch.cat([count.new_zeros(1), count.cumsum(0)])
        times = log.times()
        first = torch.arange(len(log))
        again = torch.zeros(len(log), dtype=torch.bool)
        again[1:] = (users[1:] == users[:-1]) & (times[1:] == times[:-1]) & log.timed
        first = torch.where(again, 0, first).cummax(0).values
        return Histories(taken, users, earlier[first] - taken.offsets[users])

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
