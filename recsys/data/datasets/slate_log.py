"""Impressions and clicks in memory, and the ablation that replaces each slate by random negatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.types.jagged import Jagged


@dataclass(frozen=True)
class SlateLog:
    """`R` impressions of `U` users, by user, oldest first; impressions of equal time stand by request id.

    A slate of three items of which the second was clicked, and one of two without a click:

        slates    [[7, 2, 9], [2, 4]]     item indices
        clicks    [[1], []]               positions in the slate

    That nothing was clicked is not an item: a model that scores it adds it itself.

    Args:
        name: what reports call the data.
        items: `item` (0 … N−1, by rising raw id), `item_id`, `group` (0 … Q−1) and the source's features. Every item of
            a slate is here, whether or not the source describes it. Groups are numbered by rising `group_name`; items
            without one share the last group; without groups all are in group 0.
        users: `user` (0 … U−1, by rising raw id), `user_id` and the source's features.
        requests: `[R]` rows: `request_id`, `timestamp` (seconds, or the place in the user's history if not `timed`),
            `source` (`search`, `recommendation`, null where unknown).
        user_offsets: `[U + 1]`, user `u` has the impressions `user_offsets[u] … user_offsets[u + 1] − 1`.
        slates: `R` rows, item indices from the first slot to the last.
        clicks: `R` rows, positions from 0, in the order of the source; an empty row where nothing was clicked.
        timed: whether `timestamp` is a time.
        displayed: whether slots have the order of display.
        fingerprint: changes whenever the source's content does.
        summary: counts of what was found, kept and dropped.
        propensity: `[R]`, in (0, 1], probability of each whole slate under the policy that showed it.
        prefix_propensities: `R` rows, of each slot given the slots before it.
        slot_propensities: `R` rows, of each item at its slot, whatever else is in the slate.
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

    def __len__(self) -> int:
        return len(self.slates)

    @property
    def num_items(self) -> int:
        """`N`."""
        return len(self.items)

    @property
    def num_users(self) -> int:
        """`U`."""
        return len(self.users)

    @property
    def num_groups(self) -> int:
        """`Q`, 1 where there are no groups."""
        return int(self.items.get_column("group").n_unique())

    def by_user(self) -> Jagged:
        """`U` rows, the numbers of each user's impressions, oldest first."""
        return Jagged(torch.arange(len(self)), self.user_offsets)

    def user_indices(self) -> Int[Tensor, " R"]:
        """`[R]`, the user of each impression."""
        return self.by_user().row_ids()

    def steps(self) -> Int[Tensor, " R"]:
        """`[R]`, the place of each impression in its user's history, from 0."""
        return self.by_user().positions()

    def first_click(self) -> Int[Tensor, " R"]:
        """`[R]`, the first position of each impression's clicks as the source lists them; −1 where there is none."""
        first = self.clicks.lengths.new_full((len(self),), -1)
        clicked = self.clicks.lengths > 0
        first[clicked] = self.clicks.values[self.clicks.offsets[:-1][clicked]]
        return first

    def times(self) -> Int[Tensor, " R"]:
        """`[R]`, `timestamp` of each impression."""
        return torch.from_numpy(self.requests.get_column("timestamp").to_numpy().copy())

    def describe(self) -> str:
        """One line for people: size, clicks, and what was dropped."""
        count = {key: f"{value:,}" for key, value in self.summary.items()}
        dropped = [f"{value} {key}" for key, value in count.items() if key not in SIZES and self.summary[key]]
        return (
            f"{self.name}: {count['users']} users, {count['items']} items, {count['impressions']} slates,"
            f" {count['clicks']} clicks, {self.summary['without_click'] / len(self):.1%} of the slates without one;"
            f" dropped: {', '.join(dropped) or 'nothing'}"
        )


SIZES = ("users", "items", "groups", "impressions", "clicks", "without_click", "items_without_impressions")
"""Counts in `SlateLog.summary` that say what is there; the others say what was dropped."""


def all_item_negatives(
    log: SlateLog, loss_mask: Bool[Tensor, " R"], negatives: int = 24, seed: int = 0
) -> tuple[SlateLog, Bool[Tensor, " R"]]:
    """Clicked slates become the clicked item and others drawn evenly from the catalogue; the rest no longer count.

    What users were shown no longer matters, so that items which are shown often look liked. Drawn items may come twice.
    Source: the all-item likelihood of Eide, Leslie, Frigessi 2022, which draws anew at every step; here once.

    Args:
        log: what was shown and clicked.
        loss_mask: the impressions to be explained.
        negatives: items beside the click.
        seed: of the draw.

    Returns:
        The log, and its impressions that count.
    """
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
    )
    return changed, loss_mask & clicked
