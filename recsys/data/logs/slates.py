"""A log of slates with rewards, read in batches, and the checks of its table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import polars as pl
import torch
from jaxtyping import Int
from torch import Tensor

from recsys.data.logs.actions import checked_rows, context_rules, drop_duplicates, not_finite, null_rule
from recsys.data.logs.batches import LoggedSlates, LogWithUsers
from recsys.data.logs.histories import Histories
from recsys.data.tables.row_checks import FindRow, RowRule, propensity_rules, slate_rules
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
    """Requests that were answered with slates, checked and not yet read.

    Args:
        name: what reports call the log.
        frame: one row a request: `slate`, `rewards` or `reward`, and what else
            `recsys.data.tables.canonical.SLATE_FEEDBACK` names.
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

    def batches(self, size: int = BATCH_ROWS) -> Iterator[LoggedSlates]:
        """The requests in order, up to `size` at once, in memory that grows with `size` alone.

        The propensity of a whole slate is the product of its prefix propensities where it is not logged itself. The
        context has users, candidates, histories where there are some (`with_histories`) and, as feature `context`, the
        numbers of the table.
        """
        there = [name for name in READ if name in self.columns]
        for start, part in row_batches(self.frame.select(there), size):
            yield self._batch(start, part)

    @cached_property
    def ids(self) -> RawIds:
        """Of the items."""
        return RawIds(self.items["item_id"])

    def with_histories(self) -> SlateFeedbackLog:
        """The same log, where each request knows what its user took in the log before.

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
        """`request_id` and `slate` of each request as they stand in the log, to join tables of policies with."""
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


PRODUCT_TOLERANCE = 1e-3
"""How far a slate's propensity may be from the product of its prefixes, as a share of it: float32 logs round."""


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
    """The log of a table whose columns have the right types, after its rows were checked.

    Args:
        frame: one row a request, columns as in `recsys.data.tables.canonical.SLATE_FEEDBACK`.
        find: where the first row at fault stands.
        name: what reports call the log.
        fingerprint: changes whenever the table does.
        items: what can be shown, `item_id` and features; None takes what slates and candidates name.
        excluding: leave out rows at fault and count them, instead of refusing the table.
        repeats: whether a slate may hold an item twice.
        left_out: rows that the reader has left out before, by reason.

    Raises:
        DataError: a row is at fault and rows are not left out, or none is left.
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


def slate_feedback_rules(frame: pl.LazyFrame, known: pl.Series | None, repeats: bool) -> list[RowRule]:
    """What a request may not be, of the columns that are there.

    Args:
        frame: one row a request.
        known: raw ids of what can be shown; None where nobody said.
        repeats: whether a slate may hold an item twice.
    """
    columns = frame.collect_schema().names()
    size = pl.col("slate").list.len()
    rules = [null_rule(name) for name in ("slate", "request_id", "user_id") if name in columns]
    rules += slate_rules(repeats)
    if "rewards" in columns:
        length = pl.col("rewards").list.len().ne_missing(size)
        rules.append(RowRule("rewards", length, "has not one reward for each slot of its slate"))
        strange = pl.col("rewards").list.eval(not_finite(pl.element())).list.any()
        rules.append(RowRule("rewards", strange, "holds what is no reward, expected a finite number in every slot"))
    elif "reward" in columns:
        rules.append(
            RowRule("reward", not_finite(pl.col("reward")), "is no reward, expected a finite number in every row")
        )
    rules += propensity_rules(columns, size)
    if {"propensity", "prefix_propensities"} <= set(columns):
        prefixes = pl.col("prefix_propensities").list.eval(pl.element().cast(pl.Float64).log()).list.sum()
        apart = (pl.col("propensity").cast(pl.Float64).log() - prefixes).abs() > PRODUCT_TOLERANCE
        rules.append(RowRule("propensity", apart, "is not the product of prefix_propensities: write one of the two"))
    return rules + _support_rules(columns, known) + context_rules(frame)


def _support_rules(columns: list[str], known: pl.Series | None) -> list[RowRule]:
    rules = []
    if known is not None:
        for name in ("slate", "candidates"):
            if name in columns:
                outside = ~pl.col(name).list.eval(pl.element().is_in(known.implode())).list.all()
                rules.append(RowRule(name, outside, "holds an item outside the support, which is the table of items"))
    if "candidates" in columns:
        inside = pl.col("slate").list.set_difference(pl.col("candidates")).list.len() == 0
        rules.append(RowRule("slate", (~inside).fill_null(True), "holds an item outside the row's candidates"))
    return rules
