"""A prepared data set: training histories, and the requests of validation and test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from recsys.data.datasets.selection import OPTIONS
from recsys.data.datasets.split import Splits
from recsys.errors import DataError, RequestError
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.jagged import Jagged

DAY = 86_400
"""Seconds of a day."""


@dataclass(frozen=True)
class Dataset:
    """A log with contiguous indices, split into training histories and held-out requests.

    Args:
        name: name of the data in reports.
        items: one row an item, row `i` for item `i`: `item` (0 .. N - 1), `item_id` (raw), `interactions` (number of
            training events), and the features of the source.
        users: one row a user, row `u` for user `u`: `user`, `user_id` (raw), and the features of the source.
        train: one row a user: the training events, oldest first; nothing is excluded.
        validation: one row a request. The history is everything before the held-out item, which is the answer.
        test: one row a request, as in `validation`.
        complete: one row a user: all events as history, for recommendations after the end of the log.
        same_day: for `validation` and `test`, a mask of the requests whose held-out item has the same day (UTC) as the
            last item of the history; empty if the log has no timestamps.
        repeats: whether users may interact with an item again. If not, requests exclude the items of the history.
        fingerprint: text that identifies the source and all options of preparation.
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
        """Number of items `N` of the catalogue."""
        return len(self.items)

    @property
    def slots(self) -> None:
        """None: users are answered with lists of single items, of any length."""
        return None

    @property
    def sequences(self) -> Jagged:
        """The training events of each user, one row a user, oldest first."""
        return self.train.history

    @property
    def materials(self) -> Dataset:
        """The data set itself, from which models are built that need no semantic IDs."""
        return self

    def check(self, fingerprint: str) -> None:
        """Refuse weights that were trained on other data.

        Raises:
            RequestError: `fingerprint` is not that of this data set.
        """
        if fingerprint != self.fingerprint:
            raise RequestError(f"the weights were trained on other data than {self.name} as it is now: train anew")

    def facts(self) -> dict[str, str]:
        """Return the sizes that a report lists."""
        return {
            "users": f"{self.num_users:,}",
            "items": f"{self.num_items:,}",
            "test requests": f"{len(self.test):,}",
        }

    @property
    def num_users(self) -> int:
        """Number of users of the log."""
        return len(self.users)

    def recommend_context(self, user_ids: Sequence[int | str]) -> Context:
        """Return requests of the given users, with all their events as history.

        Args:
            user_ids: raw ids of users.

        Raises:
            DataError: an id is not in the data.
        """
        return self.complete.select(user_indices(self.users, user_ids, self.name))

    def dropped(self) -> str:
        """Describe what each rule of preparation dropped, in one phrase; empty if nothing was."""
        count = {key: f"{int(value):,}" for key, value in self.summary.items()}
        k = count.get("k_core", "")
        phrases = {
            "below_min_rating": "{} events below min_rating",
            "other_events": "{} events of other kinds",
            "dropped_duplicates": "{} repeated events",
            "users_dropped_by_k_core": f"{{}} of {count.get('raw_users', '')} users left with fewer than {k} events",
            "items_dropped_by_k_core": f"{{}} of {count.get('raw_items', '')} items left with fewer than {k} events",
            "dropped_by_k_core": "{} events of these users and items",
        }
        told = [text.format(count[key]) for key, text in phrases.items() if self.summary.get(key)]
        return f"dropped {', '.join(told)}" if told else ""

    def describe(self) -> str:
        """Describe size, dropped rows, unread columns, and whether seen items are excluded, in one line of text."""
        count = {key: f"{int(value):,}" for key, value in self.summary.items()}
        share = f"{100 * self.summary['repeat_share']:.2f} % of the raw events repeat an earlier one"
        answer = f"seen items are {'included in' if self.repeats else 'excluded from'} recommendations"
        unread = [(name, option) for name, option in OPTIONS.items() if self.summary.get(f"unread_{name}")]
        notes = [self.dropped()]
        if self.summary.get("equal_time_share"):
            equal = f"{100 * self.summary['equal_time_share']:.2f} %"
            notes.append(f"{equal} of the events have the time of the user's event before")
        notes += [f"column {name} is not read, every event counts alike (data.{option})" for name, option in unread]
        return "; ".join(
            [
                f"{self.name}: {count['users']} users, {count['items']} items, {count['events']} of"
                f" {count['raw_events']} events",
                f"{count['validation_requests']} validation and {count['test_requests']} test requests",
                f"{answer} ({share})",
                *(note for note in notes if note),
            ]
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
    """Return the data set of ordered events.

    Args:
        events: `user`, `item` and, if times are known, `timestamp` (seconds); sorted by user, oldest first.
        splits: the events that train and those that are held out.
        name: as in `Dataset`.
        items: as in `Dataset`, without `interactions`.
        users: as in `Dataset`.
        repeats: as in `Dataset`.
        fingerprint: as in `Dataset`.
        summary: as in `Dataset`.
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


def user_indices(users: pl.DataFrame, user_ids: Sequence[int | str], name: str) -> Int[Tensor, " B"]:
    """Return the index of each user by raw id.

    Args:
        users: one row a user: `user` and `user_id`.
        user_ids: raw ids, as they are or as text; one may occur several times. A text is one id.
        name: of the data, for the message.

    Raises:
        DataError: an id is not in the data.
    """
    given = [user_ids] if isinstance(user_ids, str) else user_ids
    asked = pl.Series("user_id", [str(user_id) for user_id in given], dtype=pl.String)
    known = users.select("user", pl.col("user_id").cast(pl.String))
    found = asked.to_frame().join(known, on="user_id", how="left", maintain_order="left")
    unknown = found.filter(pl.col("user").is_null()).get_column("user_id")
    if len(unknown):
        such = users.get_column("user_id")[0]
        raise DataError(f"user {unknown[0]!r} is not in {name}, which has {len(users):,} users, such as {such!r}")
    return torch.from_numpy(found.get_column("user").to_numpy().astype("int64"))


def jagged_events(events: pl.DataFrame, num_users: int) -> tuple[Jagged, Int[Tensor, " total"] | None]:
    """Return the items of events sorted by `user`, one row a user, and their `timestamp`s, or None."""
    user, item = (torch.from_numpy(events.get_column(name).to_numpy().astype("int64")) for name in ("user", "item"))
    history = Jagged.from_lengths(item, torch.bincount(user, minlength=num_users))
    if "timestamp" not in events.columns:
        return history, None
    return history, torch.from_numpy(events.get_column("timestamp").to_numpy().copy())


def _heads(log: Context, rows: Tensor, lengths: Tensor) -> Context:
    """Return the first `lengths[r]` events of user `rows[r]`."""
    return Context(rows, log.history.head(rows, lengths), Jagged.empty(len(rows)))


def _requests(log: Context, targets: Tensor, repeats: bool) -> Example:
    """Return one request for each position of `targets` in the flat values of the log."""
    rows = torch.searchsorted(log.history.offsets, targets, right=True) - 1
    before = _heads(log, rows, targets - log.history.offsets[rows])
    excluded = before.excluded if repeats else before.history
    return Example.next_item(before.replace(excluded=excluded), log.history.values[targets])


def _same_day(times: Tensor, targets: Tensor) -> Tensor:
    return times[targets] // DAY == times[targets - 1] // DAY
