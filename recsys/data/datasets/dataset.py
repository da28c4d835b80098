"""A prepared data set: training histories, and the requests of validation and test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from recsys.data.datasets.split import Splits
from recsys.errors import DataError
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.jagged import Jagged

DAY = 86_400
"""Seconds."""


@dataclass(frozen=True)
class Dataset:
    """A log with contiguous indices, divided into training histories and held-out requests.

    Args:
        name: what reports call it.
        items: one row an item, row `i` is item `i`: `item` (0 .. N - 1), `item_id` (raw), `interactions` (events in
            training), and the source's features.
        users: one row a user, row `u` is user `u`: `user`, `user_id` (raw), and the source's features.
        train: one row a user: the training events, oldest first; nothing excluded.
        validation: one row a request: everything before the held-out item as history, that item as the answer.
        test: the same.
        complete: one row a user: all events as history, for recommending what comes after the log.
        same_day: for `validation` and `test`, true where the held-out item has the same day (UTC) as the last item of
            the history; empty where there are no timestamps.
        repeats: whether a user may have an item again. If not, requests exclude what the history holds.
        fingerprint: of the source and all options of preparation.
        summary: counts of what preparation found, dropped and kept.
    """

    name: str
    items: pl.DataFrame
    users: pl.DataFrame
    train: Context
    validation: Example
    test: Example
    complete: Context
    same_day: Mapping[str, Bool[Tensor, " B"]]
    repeats: bool
    fingerprint: str
    summary: Mapping[str, float]

    @property
    def num_items(self) -> int:
        """`N`, the size of the catalogue."""
        return len(self.items)

    @property
    def num_users(self) -> int:
        """How many users the log has."""
        return len(self.users)

    def recommend_context(self, user_ids: Sequence[int | str]) -> Context:
        """Requests of the named users (raw ids), with all their events as history.

        Raises:
            DataError: when an id is not in the data.
        """
        known = self.users.get_column("user_id")
        asked = pl.Series("user_id", [str(user_id) for user_id in user_ids], dtype=pl.String)
        found = asked.to_frame().join(
            self.users.select("user", pl.col("user_id").cast(pl.String)),
            on="user_id",
            how="left",
            maintain_order="left",
        )
        unknown = found.filter(pl.col("user").is_null()).get_column("user_id")
        if len(unknown):
            raise DataError(
                f"user {unknown[0]!r} is not in {self.name}: {len(known):,} users are, for instance {known[0]!r}"
            )
        return self.complete.select(torch.from_numpy(found.get_column("user").to_numpy().astype("int64")))

    def describe(self) -> str:
        """One line for people: size, what was dropped, and whether requests exclude what users had."""
        count = {key: f"{int(value):,}" for key, value in self.summary.items()}
        share = f"{100 * self.summary['repeat_share']:.2f} % of the raw events repeat an earlier one"
        answer = "users may have an item again" if self.repeats else "what a user had is excluded from requests"
        return (
            f"{self.name}: {count['users']} users, {count['items']} items, {count['events']} of {count['raw_events']}"
            f" events; {count['validation_requests']} validation and {count['test_requests']} test requests;"
            f" {answer} ({share})"
        )


def assemble(
    events: pl.DataFrame,
    splits: Splits,
    *,
    name: str,
    items: pl.DataFrame,
    users: pl.DataFrame,
    repeats: bool,
    fingerprint: str,
    summary: Mapping[str, float],
) -> Dataset:
    """A data set of ordered events.

    Args:
        events: `user` (rising), `item`, and `timestamp` (seconds) where times are known; oldest first.
        splits: which of them train, which are asked for.
        name: see `Dataset`.
        items: see `Dataset`; without `interactions`.
        users: see `Dataset`.
        repeats: see `Dataset`.
        fingerprint: see `Dataset`.
        summary: see `Dataset`.
    """
    history, times = jagged_events(events, len(users))
    every = torch.arange(len(users))
    log = Context(users=every, history=history, excluded=Jagged.empty(len(users)))
    train = _heads(log, every, splits.train_lengths)
    counts = torch.bincount(train.history.values, minlength=len(items))
    targets = {"validation": splits.validation, "test": splits.test}
    same_day = {} if times is None else {part: _same_day(times, index) for part, index in targets.items()}
    return Dataset(
        name=name,
        items=items.with_columns(pl.Series("interactions", counts.numpy())),
        users=users,
        train=train,
        validation=_requests(log, splits.validation, repeats),
        test=_requests(log, splits.test, repeats),
        complete=log if repeats else Context(users=every, history=history, excluded=history),
        same_day=same_day,
        repeats=repeats,
        fingerprint=fingerprint,
        summary=summary,
    )


def jagged_events(events: pl.DataFrame, num_users: int) -> tuple[Jagged, Int[Tensor, " total"] | None]:
    """The items of `events` (sorted by `user`) as a row a user, and their `timestamp`s if they have any."""
    user, item = (torch.from_numpy(events.get_column(name).to_numpy().astype("int64")) for name in ("user", "item"))
    history = Jagged.from_lengths(item, torch.bincount(user, minlength=num_users))
    if "timestamp" not in events.columns:
        return history, None
    return history, torch.from_numpy(events.get_column("timestamp").to_numpy().copy())


def _heads(log: Context, rows: Tensor, lengths: Tensor) -> Context:
    """The first `lengths[r]` events of user `rows[r]`."""
    return Context(rows, log.history.head(rows, lengths), Jagged.empty(len(rows)))


def _requests(log: Context, targets: Tensor, repeats: bool) -> Example:
    """One request for each position of `targets` in the log's flat values."""
    rows = torch.searchsorted(log.history.offsets, targets, right=True) - 1
    before = _heads(log, rows, targets - log.history.offsets[rows])
    excluded = before.excluded if repeats else before.history
    return Example.next_item(before.replace(excluded=excluded), log.history.values[targets])


def _same_day(times: Tensor, targets: Tensor) -> Tensor:
    return times[targets] // DAY == times[targets - 1] // DAY
