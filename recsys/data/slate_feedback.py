"""A log of slates with rewards as estimators read it: in parts, from wherever it lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import polars as pl
import torch
from jaxtyping import Int
from torch import Tensor

from recsys.data.context import Context
from recsys.data.histories import Histories
from recsys.data.jagged import Jagged
from recsys.data.logged_slates import LoggedSlates
from recsys.data.logged_table import LoggedUsers
from recsys.data.raw_ids import RawIds
from recsys.data.stream import SIZE, flush_left, lengths, matrix, numbers, parts
from recsys.errors import RequestError

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
class SlateFeedback(LoggedUsers):
    """Requests that were answered with slates, checked and not yet read.

    Args:
        name: what reports call the log.
        frame: one row a request: `slate`, `rewards` or `reward`, and what else `recsys.data.schema.SLATE_FEEDBACK`
            names.
        items: what can be shown, the rows being the indices: `item_id` (raw ids, rising) and any feature.
        rounds: how many requests.
        slots: `S`, of the longest slate.
        fingerprint: changes whenever the log's content does.
        users: raw ids, rising; None where requests stand alone.
        summary: counts of what was found, and of rows left out, by reason.
        histories: what users took before; None leaves the histories of contexts empty.
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
        """`N`."""
        return len(self.items)

    def batches(self, size: int = SIZE) -> Iterator[LoggedSlates]:
        """The requests in order, up to `size` at once, in memory that grows with `size` alone.

        The propensity of a whole slate is the product of its prefix propensities where it is not logged itself. The
        context has users, candidates, histories where there are some (`with_histories`) and, as feature `context`, the
        numbers of the table.
        """
        there = [name for name in READ if name in self.columns]
        for start, part in parts(self.frame.select(there), size):
            yield self._batch(start, part)

    @cached_property
    def ids(self) -> RawIds:
        """Of the items."""
        return RawIds(self.items["item_id"])

    def with_histories(self) -> SlateFeedback:
        """The same log, where each request knows what its user took in the log before.

        Raises:
            RequestError: the log has no users, times, or rewards of slots.
        """
        missing = [name for name in ("user_id", "timestamp", "rewards") if name not in self.columns]
        if missing:
            raise RequestError(f"{self.name}: no column {missing[0]!r}, without which the log has no histories")
        times = [part for _, part in parts(self.frame.select(pl.col("timestamp").to_physical().cast(pl.Int64)))]
        batches = list(self.batches())
        user, items, reward = (
            torch.cat([getattr(batch, name) for batch in batches]) for name in ("user", "items", "reward")
        )
        time = torch.from_numpy(pl.concat(times)["timestamp"].to_numpy().copy())
        return replace(self, histories=Histories.of(user, time, items, reward))

    def requests(self) -> pl.LazyFrame:
        """`request_id` and `slate` of each request as they stand in the log, to join tables of policies with."""
        return self.frame.select("request_id", "slate")

    def _batch(self, start: int, part: pl.DataFrame) -> LoggedSlates:
        sizes = lengths(part["slate"])
        items = flush_left(self.ids.indices(part["slate"].explode()), sizes, self.slots, -1)
        lists = {
            name: flush_left(numbers(part[name].explode()), sizes, self.slots, fill)
            for name, fill in (("rewards", 0.0), ("prefix_propensities", 1.0), ("slot_propensities", 1.0))
            if name in part.columns
        }
        by_slot = "rewards" in lists
        if not by_slot:
            lists["rewards"] = torch.zeros(len(part), self.slots, dtype=torch.float64)
            lists["rewards"][:, 0] = numbers(part["reward"])
        prefix = lists.get("prefix_propensities")
        whole = numbers(part["propensity"]) if "propensity" in part.columns else None
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
            ends = lengths(part["candidates"]).cumsum(0)
            candidates = Jagged(values, torch.cat([ends.new_zeros(1), ends]))
        return Context(
            users=torch.zeros(len(part), dtype=torch.long) if user is None else user,
            history=none if self.histories is None else self.histories.at(torch.arange(start, start + len(part))),
            excluded=none,
            candidates=candidates,
            features={"context": matrix(part["context"])} if "context" in columns else {},
        )
