"""A log of slates with rewards, read in batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import polars as pl
import torch
from jaxtyping import Int
from torch import Tensor

from recsys.data.logs.batches import LoggedSlates, LogWithUsers
from recsys.data.logs.histories import Histories
from recsys.data.logs.log_checks import checked_rows, drop_duplicates
from recsys.data.logs.slate_rules import slate_feedback_rules
from recsys.data.tables.row_checks import FindRow
from recsys.data.tables.tensors import (
    BATCH_ROWS,
    RawIds,
    distinct_ids,
    list_lengths,
    pad_rows,
    row_batches,
    to_float64,
    to_matrix,
)
from recsys.errors import RequestError
from recsys.types.context import Context
from recsys.types.jagged import Jagged

READ = (
    "slate",
    "rewards",
    "reward",
    "propensity",
    "prefix_propensities",
    "slot_propensities",
    "user_id",
    "context",
    "candidates",
)
"""Columns of the table that become parts of `LoggedSlates`."""


@dataclass(frozen=True, eq=False)
class SlateFeedbackLog(LogWithUsers):
    """A log of requests that were answered with slates; its rows are checked, and read when they are needed.

    Args:
        name: name of the log in reports.
        frame: one row a request: `slate`, `rewards` or `reward`, and the other columns of
            `recsys.data.tables.canonical.SLATE_FEEDBACK`.
        items: table of the possible items, whose rows are their indices: `item_id` (raw ids, ascending) and any
            feature.
        rounds: number of requests.
        slots: `S`, number of slots of the longest slate.
        fingerprint: changes whenever the content of the log does.
        users: raw ids of the users, ascending; None where requests are independent.
        summary: counts of what was found, and of the rows left out, by reason.
        histories: what users took earlier; None leaves the histories of contexts empty.
    """

    name: str
    frame: pl.LazyFrame
    items: pl.DataFrame
    rounds: int
    slots: int
    fingerprint: str
    users: pl.Series | None = None
    summary: Mapping[str, int] = field(default_factory=dict)
    histories: Histories | None = None

    def __len__(self) -> int:
        return self.rounds

    @property
    def num_items(self) -> int:
        """Return `N`, the number of possible items."""
        return len(self.items)

    def batches(self, size: int = BATCH_ROWS) -> Iterator[LoggedSlates]:
        """Yield the requests in order, up to `size` at once, in memory that depends on `size` alone.

        The propensity of a whole slate is the product of its prefix propensities where it is not logged. The context
        has users, candidates, histories if there are any (`with_histories`) and, as feature `context`, the numbers of
        the table.
        """
        there = [name for name in READ if name in self.columns]
        for start, part in row_batches(self.frame.select(there), size):
            yield self._batch(start, part)

    @cached_property
    def ids(self) -> RawIds:
        """Return the mapping from raw ids of items to indices."""
        return RawIds(self.items["item_id"])

    def with_histories(self) -> SlateFeedbackLog:
        """Return the same log with contexts that hold what a user took earlier in the log.

        Raises:
            RequestError: the log has no users, times, or rewards of slots.
        """
        missing = [name for name in ("user_id", "timestamp", "rewards") if name not in self.columns]
        if missing:
            raise RequestError(f"{self.name}: no column {missing[0]!r}, without which the log has no histories")
        times = [part for _, part in row_batches(self.frame.select(pl.col("timestamp").to_physical().cast(pl.Int64)))]
        batches = list(self.batches())
        user, items, reward = (
            torch.cat([getattr(batch, name) for batch in batches]) for name in ("user", "items", "reward")
        )
        time = torch.from_numpy(pl.concat(times)["timestamp"].to_numpy().copy())
        return replace(self, histories=Histories.from_requests(user, time, items, reward))

    def requests(self) -> pl.LazyFrame:
        """Return `request_id` and `slate` of each request in the log's order, to join tables of policies with."""
        return self.frame.select("request_id", "slate")

    def _batch(self, start: int, part: pl.DataFrame) -> LoggedSlates:
        sizes = list_lengths(part["slate"])
        items = pad_rows(self.ids.indices(part["slate"].explode()), sizes, self.slots, -1)
        lists = {
            name: pad_rows(to_float64(part[name].explode()), sizes, self.slots, fill)
            for name, fill in (("rewards", 0.0), ("prefix_propensities", 1.0), ("slot_propensities", 1.0))
            if name in part.columns
        }
        by_slot = "rewards" in lists
        if not by_slot:
            lists["rewards"] = torch.zeros(len(part), self.slots, dtype=torch.float64)
            lists["rewards"][:, 0] = to_float64(part["reward"])
        prefix = lists.get("prefix_propensities")
        whole = to_float64(part["propensity"]) if "propensity" in part.columns else None
        user = None if self.user_ids is None else self.user_ids.indices(part["user_id"])
        return LoggedSlates(
            request=torch.arange(start, start + len(part)),
            items=items,
            reward=lists["rewards"],
            propensity=prefix.prod(1) if whole is None and prefix is not None else whole,
            prefix=prefix,
            slot=lists.get("slot_propensities"),
            user=user,
            context=self._context(start, part, user),
            by_slot=by_slot,
        )

    def _context(self, start: int, part: pl.DataFrame, user: Int[Tensor, " n"] | None) -> Context | None:
        columns = part.columns
        if user is None and "context" not in columns and "candidates" not in columns:
            return None
        none = Jagged(torch.empty(0, dtype=torch.long), torch.zeros(len(part) + 1, dtype=torch.long))
        candidates = None
        if "candidates" in columns:
            values = self.ids.indices(part["candidates"].explode())
            ends = list_lengths(part["candidates"]).cumsum(0)
            candidates = Jagged(values, torch.cat([ends.new_zeros(1), ends]))
        return Context(
            users=torch.zeros(len(part), dtype=torch.long) if user is None else user,
            history=none if self.histories is None else self.histories.at(torch.arange(start, start + len(part))),
            excluded=none,
            candidates=candidates,
            features={"context": to_matrix(part["context"])} if "context" in columns else {},
        )


def slate_feedback_log(
    frame: pl.LazyFrame,
    find: FindRow,
    *,
    name: str,
    fingerprint: str,
    items: pl.DataFrame | None = None,
    excluding: bool = False,
    repeats: bool = False,
    left_out: dict[str, int] | None = None,
) -> SlateFeedbackLog:
    """Return the log of a table whose columns have the right types, after its rows were checked.

    Args:
        frame: one row a request, columns as in `recsys.data.tables.canonical.SLATE_FEEDBACK`.
        find: finds the first faulty row.
        name: name of the log in reports.
        fingerprint: changes whenever the table does.
        items: table of the possible items, `item_id` and features; None for the items of slates and candidates.
        excluding: leave out faulty rows and count them, instead of refusing the table.
        repeats: whether a slate may hold an item twice.
        left_out: rows that the reader has already left out, by reason.

    Raises:
        DataError: a row is faulty and rows are not left out, or no row is left.
    """
    columns = frame.collect_schema().names()
    known = None if items is None else items["item_id"]
    frame, rows, counts = checked_rows(frame, slate_feedback_rules(frame, known, repeats), find, name, excluding)
    if "request_id" in columns:
        frame, twice = drop_duplicates(frame, ["request_id"], rows, find, excluding)
        counts |= {"request_id stands twice": twice} if twice else {}
        rows -= twice
    if items is None:
        lists = [column for column in ("slate", "candidates") if column in columns]
        found = [distinct_ids(frame, pl.col(column).explode()).alias("item_id") for column in lists]
        items = pl.concat(found).unique().to_frame()
    return SlateFeedbackLog(
        name=name,
        frame=frame,
        items=items.sort("item_id"),
        rounds=rows,
        slots=frame.select(pl.col("slate").list.len().max()).collect(engine="streaming").item(),
        fingerprint=fingerprint,
        users=distinct_ids(frame, pl.col("user_id")) if "user_id" in columns else None,
        summary={"rounds": rows, "items": len(items)} | (left_out or {}) | counts,
    )
