"""Logged slates and clicks in memory, and the ablation that replaces each slate by random negatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.errors import DataError, RequestError
from recsys.ranges import at_least, is_seed
from recsys.types.feedback import ChannelKind
from recsys.types.jagged import Jagged
from recsys.types.record import TensorRecord

CLICK = "click"
"""The channel of clicks."""


@dataclass(frozen=True)
class LoggedChannel(TensorRecord):
    """One kind of feedback on `R` slates.

    Args:
        value: `[R]`, one number a slate; or `R` rows of one number a slot.
        kind: what the numbers are.
    """

    value: Float[Tensor, " R"] | Jagged
    kind: ChannelKind


@dataclass(frozen=True)
class SlateLog:
    """`R` impressions of `U` users, sorted by user, time and request id.

    For example, a slate of three items of which the second was clicked, and a slate of two items without a click:

        slates    [[7, 2, 9], [2, 4]]     item indices
        clicks    [[1], []]               positions in the slate

    "No click" is not an item. Models that score it add it themselves.

    Args:
        name: name of the data in reports.
        items: one row an item: `item` (0 … N−1, in the order of raw ids), `item_id`, `group` (0 … Q−1) and the features
            of the source. Every item of a slate has a row, whether or not the source describes it. Groups are numbered
            in the order of `group_name`. Items without a group share the last group. Without groups all items are in
            group 0.
        users: one row a user: `user` (0 … U−1, in the order of raw ids), `user_id` and the features of the source.
        requests: one row an impression: `request_id`, `timestamp` (seconds, or the place in the user's history if not
            `timed`) and `source` (`search`, `recommendation`, or null if unknown).
        user_offsets: `[U + 1]`. User `u` has the impressions `user_offsets[u] … user_offsets[u + 1] − 1`.
        slates: `R` rows of item indices, from the first slot to the last.
        clicks: `R` rows of clicked positions, from 0, in the order of the source; empty if nothing was clicked.
        timed: whether `timestamp` is a time.
        displayed: whether slots are in the order of display.
        fingerprint: text that changes whenever the content of the source changes.
        summary: counts of what was found, kept and dropped.
        propensity: `[R]`, probability of the whole slate under the logging policy, in (0, 1].
        prefix_propensities: `R` rows, probability of each slot given the earlier slots.
        slot_propensities: `R` rows, marginal probability of each item at its slot.
        feedback: further kinds of feedback, by the name of their column.
        before: `U` rows, item indices of what each user took before the first slate, oldest first; None if the source
            does not say.
    """

    name: str
    items: pl.DataFrame
    users: pl.DataFrame
    requests: pl.DataFrame
    user_offsets: Int[Tensor, " users_plus_one"]
    slates: Jagged
    clicks: Jagged
    timed: bool
    displayed: bool
    fingerprint: str
    summary: Mapping[str, int]
    propensity: Float[Tensor, " R"] | None = None
    prefix_propensities: Jagged | None = None
    slot_propensities: Jagged | None = None
    feedback: Mapping[str, LoggedChannel] = field(default_factory=dict)
    before: Jagged | None = None

    def __len__(self) -> int:
        return len(self.slates)

    def check(self, fingerprint: str) -> None:
        """Refuse weights that were trained on another log.

        Raises:
            RequestError: `fingerprint` is not this log's.
        """
        if fingerprint != self.fingerprint:
            raise RequestError(f"the weights were trained on other slates than {self.name} as it is now: train anew")

    @property
    def num_items(self) -> int:
        """Number of items `N`."""
        return len(self.items)

    @property
    def num_users(self) -> int:
        """Number of users `U`."""
        return len(self.users)

    @property
    def num_groups(self) -> int:
        """Number of groups `Q`; 1 if items have no groups."""
        return int(self.items.get_column("group").n_unique())

    def by_user(self) -> Jagged:
        """Return the indices of each user's impressions as `U` rows, oldest first."""
        return Jagged(torch.arange(len(self)), self.user_offsets)

    def user_indices(self) -> Int[Tensor, " R"]:
        """Return the user of each impression, `[R]`."""
        return self.by_user().row_ids()

    def steps(self) -> Int[Tensor, " R"]:
        """Return the place of each impression in its user's history, `[R]`, from 0."""
        return self.by_user().positions()

    def first_click(self) -> Int[Tensor, " R"]:
        """Return the clicked position of each impression that the source lists first, `[R]`; −1 for no click."""
        first = self.clicks.lengths.new_full((len(self),), -1)
        clicked = self.clicks.lengths > 0
        first[clicked] = self.clicks.values[self.clicks.offsets[:-1][clicked]]
        return first

    def slot_values(self, channel: str) -> Float[Tensor, " total"]:
        """Return the values of a channel for all slots, slate after slate.

        Args:
            channel: `click`, or a channel with one number a slot.

        Raises:
            DataError: the log lacks the channel, or the channel has one number a slate.
        """
        if channel in self.feedback:
            value = self.feedback[channel].value
            if isinstance(value, Jagged):
                return value.values
        elif channel == CLICK:
            clicked = torch.zeros(len(self.slates.values))
            clicked[self.slates.offsets[self.clicks.row_ids()] + self.clicks.values] = 1.0
            return clicked
        by_slot = {name for name, one in self.feedback.items() if isinstance(one.value, Jagged)}
        found = ", ".join(sorted({CLICK, *by_slot} - (self.feedback.keys() - by_slot)))
        raise DataError(f"{self.name} has no feedback {channel!r} with one number a slot; found {found}")

    def times(self) -> Int[Tensor, " R"]:
        """Return the `timestamp` of each impression, `[R]`."""
        return torch.from_numpy(self.requests.get_column("timestamp").to_numpy().copy())

    def describe(self) -> str:
        """Describe size, clicks and dropped rows in one line of text."""
        count = {key: f"{value:,}" for key, value in self.summary.items()}
        further = f"; feedback: {', '.join(self.feedback)}" if self.feedback else ""
        dropped = [f"{value} {key}" for key, value in count.items() if key not in SIZES and self.summary[key]]
        return (
            f"{self.name}: {count['users']} users, {count['items']} items, {count['impressions']} slates,"
            f" {count['clicks']} clicks, {self.summary['without_click'] / len(self):.1%} of the slates without one;"
            f" dropped: {', '.join(dropped) or 'nothing'}{further}"
        )


SIZES = ("users", "items", "groups", "impressions", "clicks", "without_click", "items_without_impressions")
"""Counts in `SlateLog.summary` that describe the log. The others count dropped rows."""


def all_item_negatives(
    log: SlateLog, loss_mask: Bool[Tensor, " R"], negatives: int = 24, seed: int = 0
) -> tuple[SlateLog, Bool[Tensor, " R"]]:
    """Replace each clicked slate by the clicked item and random negatives, drawn uniformly from the catalogue.

    A model of such slates ignores what users were shown: items that are shown often seem to be liked. Negatives may
    repeat. Slates without a click leave the loss mask.

    Source: the all-item likelihood of Eide, Leslie, Frigessi 2022. It draws new negatives at every step; here they are
    drawn once.

    Args:
        log: logged slates and clicks.
        loss_mask: mask of the impressions that count in the loss.
        negatives: number of negatives of a slate.
        seed: seed of the draw.

    Returns:
        The changed log, and its loss mask.
    """
    at_least(1, negatives=negatives)
    is_seed(seed=seed)
    click = log.first_click()
    clicked = click >= 0
    chosen = log.slates.values[log.slates.offsets[:-1] + click.clamp(min=0)]
    generator = torch.Generator().manual_seed(seed)
    others = torch.randint(log.num_items, (len(log), negatives), generator=generator)
    slates = torch.cat([chosen.unsqueeze(1), others], 1)
    lengths = torch.full((len(log),), negatives + 1)
    changed = replace(
        log,
        slates=Jagged.from_lengths(slates.flatten(), lengths),
        clicks=Jagged.from_lengths(torch.zeros(int(clicked.sum()), dtype=torch.int64), clicked.long()),
        fingerprint=f"{log.fingerprint}/all_items/{negatives}/{seed}",
        feedback={},
    )
    return changed, loss_mask & clicked
