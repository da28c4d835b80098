"""A log of single actions with rewards, read in batches, and the checks of its table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl
import torch
from jaxtyping import Bool
from torch import Tensor

from recsys.data.logs.batches import LoggedActions, LogWithActions, LogWithUsers
from recsys.data.tables.row_checks import (
    PROPENSITY_MESSAGE,
    FindRow,
    RowRule,
    check_rows,
    exclude,
    has_duplicates,
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
from recsys.errors import DataError

READ = ("action", "reward", "propensity", "user_id", "context", "candidates")
"""Columns of the table that become parts of `LoggedActions`."""


@dataclass(frozen=True, eq=False)
class ActionLog(LogWithActions, LogWithUsers):
    """Rounds in which one action was chosen, checked and not yet read.

    Args:
        name: what reports call the log.
        frame: one row a round: `action` and `reward`, and other columns of
            `recsys.data.tables.canonical.ACTION_FEEDBACK`.
        actions: what can be chosen, the rows being the indices: `action` (raw ids, rising) and any feature.
        rounds: how many.
        fingerprint: changes whenever the log's content does.
        users: raw ids, rising; None where rounds stand alone.
        estimated: whether `propensity` was estimated instead of logged.
        context_names: what each number of `context` is; empty where nobody said.
        summary: counts of what was found, and of rows left out, by reason.
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
        """The rounds in order, up to `size` at once, in memory that grows with `size` alone.

        Args:
            size: rounds of a batch; fewer where a round has thousands of candidates, since these are a mask `[n, A]`.
        """
        there = [name for name in READ if name in self.columns]
        for start, part in row_batches(self.frame.select(there), size):
            yield self._batch(start, part)

    def requests(self) -> pl.LazyFrame:
        """`request_id` and `action` of each round as they stand in the log, to join tables of policies with."""
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
        mask[rows, self.ids.indices(candidates.explode())] = True
        return mask


DUPLICATE_MESSAGE = "stands in the table twice for one request, expected each request and action once: keep one row"


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
    """The log of a table whose columns have the right types, after its rows were checked.

    Args:
        frame: one row a round, columns as in `recsys.data.tables.canonical.ACTION_FEEDBACK`.
        find: where the first row at fault stands.
        name: what reports call the log.
        fingerprint: changes whenever the table does.
        actions: what can be chosen, `action` and features; None takes what the log and its candidates name.
        excluding: leave out rows at fault and count them, instead of refusing the table.
        context_names: what each number of `context` is.
        left_out: rows that the reader has left out before, by reason.

    Raises:
        DataError: a row is at fault and rows are not left out, or none is left.
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
    """What a round may not be, of the columns that are there.

    Args:
        frame: one row a round.
        known: raw ids of what can be chosen; None where nobody said.
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


def context_rules(frame: pl.LazyFrame) -> list[RowRule]:
    """A context is as long as the first one, and finite."""
    if "context" not in frame.collect_schema().names():
        return []
    context = pl.col("context").list
    size = frame.select(context.len().drop_nulls().head(1)).head(1).collect().to_series()
    length = size.item() if len(size) else 0
    return [
        RowRule(
            "context", context.len().ne_missing(length), f"is no context like the first, expected {length} numbers"
        ),
        RowRule(
            "context", context.eval(not_finite(pl.element())).list.any(), "holds what is no finite number: fill it"
        ),
    ]


def null_rule(name: str) -> RowRule:
    """A column in which no row may be null."""
    return RowRule(name, pl.col(name).is_null(), "is null, expected a value in every row: fill or drop it")


def not_finite(value: pl.Expr) -> pl.Expr:
    """True where a number is null, NaN or infinite."""
    return (~value.cast(pl.Float64).is_finite()).fill_null(True)


def drop_duplicates(
    frame: pl.LazyFrame, keys: Sequence[str], rows: int, find: FindRow, excluding: bool
) -> tuple[pl.LazyFrame, int]:
    """The table with each value of the keys once, and how many rows were left out.

    Raises:
        DataError: some come twice and rows are not left out.
    """
    if not has_duplicates(frame, keys, rows):
        return frame, 0
    if not excluding:
        file, row, value = find(~pl.struct(keys).is_first_distinct(), keys[-1])
        raise DataError(f"{file}, row {row} (from 0), column {keys[-1]!r}: {value} {DUPLICATE_MESSAGE}")
    kept = frame.unique(keys, keep="first", maintain_order=True)
    return kept, rows - kept.select(pl.len()).collect(engine="streaming").item()


def checked_rows(
    frame: pl.LazyFrame, rules: Sequence[RowRule], find: FindRow, name: str, excluding: bool
) -> tuple[pl.LazyFrame, int, dict[str, int]]:
    """The table after its rules, how many rows it has, and how many were left out, by reason.

    Raises:
        DataError: a row is at fault and rows are not left out, or none is left.
    """
    counts: dict[str, int] = {}
    if excluding:
        frame, counts = exclude(frame, rules, name)
    else:
        check_rows(frame, rules, find)
    rows = frame.select(pl.len()).collect(engine="streaming").item()
    if not rows:
        raise DataError(f"{name}: no row is left")
    return frame, rows, counts


def _named(frame: pl.LazyFrame, columns: Sequence[str]) -> pl.Series:
    """Every action that was chosen or could have been."""
    chosen = distinct_ids(frame, pl.col("action"))
    if "candidates" not in columns:
        return chosen
    offered = distinct_ids(frame, pl.col("candidates").explode()).cast(chosen.dtype)
    return pl.concat([chosen.alias("action"), offered.alias("action")]).unique().sort()
