"""A log of single actions with rewards, read in batches, and the checks of its table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl
import torch
from jaxtyping import Bool
from torch import Tensor

from recsys.data.logs.batches import LoggedActions, LogWithActions, LogWithUsers
from recsys.data.logs.log_checks import checked_rows, context_rules, drop_duplicates, not_finite, null_rule
from recsys.data.tables.row_checks import (
    PROPENSITY_MESSAGE,
    FindRow,
    RowRule,
    invalid_propensity,
)
from recsys.data.tables.tensors import (
    BATCH_ROWS,
    distinct_ids,
    list_lengths,
    row_batches,
    to_float64,
    to_matrix,
)

READ = ("action", "reward", "propensity", "user_id", "context", "candidates")
"""Columns of the table that become parts of `LoggedActions`."""


@dataclass(frozen=True, eq=False)
class ActionLog(LogWithActions, LogWithUsers):
    """A log of rounds in which one action was chosen; its rows are checked, and read when they are needed.

    Args:
        name: name of the log in reports.
        frame: one row a round: `action`, `reward`, and the other columns of
            `recsys.data.tables.canonical.ACTION_FEEDBACK`.
        actions: table of the possible actions, whose rows are their indices: `action` (raw ids, ascending) and any
            feature.
        rounds: number of rounds.
        fingerprint: changes whenever the content of the log does.
        users: raw ids of the users, ascending; None where rounds are independent.
        estimated: whether `propensity` was estimated instead of logged.
        context_names: name of each number of `context`; empty where there are none.
        summary: counts of what was found, and of the rows left out, by reason.
    """

    name: str
    frame: pl.LazyFrame
    actions: pl.DataFrame
    rounds: int
    fingerprint: str
    users: pl.Series | None = None
    estimated: bool = False
    context_names: tuple[str, ...] = ()
    summary: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.rounds

    def batches(self, size: int = BATCH_ROWS) -> Iterator[LoggedActions]:
        """Yield the rounds in order, up to `size` at once, in memory that depends on `size` alone.

        Args:
            size: rounds of a batch; take fewer where a round has thousands of candidates, because these are a mask `[n,
                A]`.
        """
        there = [name for name in READ if name in self.columns]
        for start, part in row_batches(self.frame.select(there), size):
            yield self._batch(start, part)

    def requests(self) -> pl.LazyFrame:
        """Return `request_id` and `action` of each round in the log's order, to join tables of policies with."""
        return self.frame.select("request_id", "action")

    def _batch(self, start: int, part: pl.DataFrame) -> LoggedActions:
        def has(name: str) -> bool:
            return name in part.columns

        return LoggedActions(
            request=torch.arange(start, start + len(part)),
            action=self.ids.indices(part["action"]),
            reward=to_float64(part["reward"]),
            propensity=to_float64(part["propensity"]) if has("propensity") else None,
            user=None if self.user_ids is None else self.user_ids.indices(part["user_id"]),
            context=to_matrix(part["context"]) if has("context") else None,
            candidates=self._mask(part["candidates"]) if has("candidates") else None,
        )

    def _mask(self, candidates: pl.Series) -> Bool[Tensor, "n A"]:
        mask = torch.zeros(len(candidates), self.num_actions, dtype=torch.bool)
        rows = torch.repeat_interleave(torch.arange(len(candidates)), list_lengths(candidates))
        indices = self.ids.indices(candidates.explode())
        mask[rows[indices >= 0], indices[indices >= 0]] = True
        return mask


def action_log(
    frame: pl.LazyFrame,
    find: FindRow,
    *,
    name: str,
    fingerprint: str,
    actions: pl.DataFrame | None = None,
    excluding: bool = False,
    context_names: tuple[str, ...] = (),
    left_out: dict[str, int] | None = None,
) -> ActionLog:
    """Return the log of a table whose columns have the right types, after its rows were checked.

    Args:
        frame: one row a round, columns as in `recsys.data.tables.canonical.ACTION_FEEDBACK`.
        find: finds the first faulty row.
        name: name of the log in reports.
        fingerprint: changes whenever the table does.
        actions: table of the possible actions, `action` and features; None for the actions of the log and its
            candidates.
        excluding: leave out faulty rows and count them, instead of refusing the table.
        context_names: name of each number of `context`.
        left_out: rows that the reader has already left out, by reason.

    Raises:
        DataError: a row is faulty and rows are not left out, or no row is left.
    """
    columns = frame.collect_schema().names()
    known = None if actions is None else actions["action"]
    frame, rows, counts = checked_rows(frame, action_rules(frame, known), find, name, excluding)
    if "request_id" in columns:
        frame, twice = drop_duplicates(frame, ["request_id", "action"], rows, find, excluding)
        counts |= {"action stands twice for one request": twice} if twice else {}
        rows -= twice
    if actions is None:
        actions = pl.DataFrame({"action": _named(frame, columns)})
    return ActionLog(
        name=name,
        frame=frame,
        actions=actions.sort("action"),
        rounds=rows,
        fingerprint=fingerprint,
        users=distinct_ids(frame, pl.col("user_id")) if "user_id" in columns else None,
        context_names=context_names,
        summary={"rounds": rows, "actions": len(actions)} | (left_out or {}) | counts,
    )


def action_rules(frame: pl.LazyFrame, known: pl.Series | None) -> list[RowRule]:
    """Return the rules for the rows of a log of single actions, for the columns that are there.

    Args:
        frame: one row a round.
        known: raw ids of the possible actions; None where they are not given.
    """
    columns = frame.collect_schema().names()
    rules = [null_rule(name) for name in ("action", "request_id", "user_id", "policy") if name in columns]
    rules.append(RowRule("reward", not_finite(pl.col("reward")), "is no reward, expected a finite number in every row"))
    if "propensity" in columns:
        rules.append(RowRule("propensity", invalid_propensity(pl.col("propensity")), PROPENSITY_MESSAGE))
    if known is not None:
        outside = ~pl.col("action").is_in(known.implode())
        rules.append(RowRule("action", outside, "is outside the support, expected an action of the table of actions"))
    if "candidates" in columns:
        outside = ~pl.col("candidates").list.contains(pl.col("action"))
        rules.append(
            RowRule("action", outside.fill_null(True), "is outside the support, which is the row's candidates")
        )
        if known is not None:
            strange = ~pl.col("candidates").list.eval(pl.element().is_in(known.implode())).list.all()
            rules.append(RowRule("candidates", strange, "hold what is outside the support, the table of actions"))
    return rules + context_rules(frame)


def _named(frame: pl.LazyFrame, columns: Sequence[str]) -> pl.Series:
    """Return every action that was chosen or was a candidate."""
    chosen = distinct_ids(frame, pl.col("action"))
    if "candidates" not in columns:
        return chosen
    offered = distinct_ids(frame, pl.col("candidates").explode()).cast(chosen.dtype)
    return pl.concat([chosen.alias("action"), offered.alias("action")]).unique().sort()
