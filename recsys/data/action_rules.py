"""Tables of single actions with rewards: what makes a row unfit to be replayed, and the log made of the rest."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from recsys.data.action_log import ActionLog
from recsys.data.raw_ids import distinct
from recsys.data.repeated import repeated
from recsys.data.rules import PROBABILITY, Find, Rule, check, exclude, no_propensity
from recsys.errors import DataError

TWICE = "stands in the table twice for one request, expected each request and action once: keep one row"


def action_log(
    frame: pl.LazyFrame,
    find: Find,
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
        frame: one row a round, columns as in `recsys.data.schema.ACTION_FEEDBACK`.
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
    frame, rows, counts = sound(frame, action_rules(frame, known), find, name, excluding)
    if "request_id" in columns:
        frame, twice = once(frame, ["request_id", "action"], rows, find, excluding)
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
        users=distinct(frame, pl.col("user_id")) if "user_id" in columns else None,
        loggers=distinct(frame, pl.col("policy").cast(pl.String)) if "policy" in columns else None,
        context_names=context_names,
        summary={"rounds": rows, "actions": len(actions)} | (left_out or {}) | counts,
    )


def action_rules(frame: pl.LazyFrame, known: pl.Series | None) -> list[Rule]:
    """What a round may not be, of the columns that are there.

    Args:
        frame: one row a round.
        known: raw ids of what can be chosen; None where nobody said.
    """
    columns = frame.collect_schema().names()
    rules = [null_rule(name) for name in ("action", "request_id", "user_id", "policy") if name in columns]
    rules.append(Rule("reward", no_number(pl.col("reward")), "is no reward, expected a finite number in every row"))
    if "propensity" in columns:
        rules.append(Rule("propensity", no_propensity(pl.col("propensity")), PROBABILITY))
    if known is not None:
        outside = ~pl.col("action").is_in(known.implode())
        rules.append(Rule("action", outside, "is outside the support, expected an action of the table of actions"))
    if "candidates" in columns:
        outside = ~pl.col("candidates").list.contains(pl.col("action"))
        rules.append(Rule("action", outside.fill_null(True), "is outside the support, which is the row's candidates"))
        if known is not None:
            strange = ~pl.col("candidates").list.eval(pl.element().is_in(known.implode())).list.all()
            rules.append(Rule("candidates", strange, "hold what is outside the support, the table of actions"))
    return rules + context_rules(frame)


def context_rules(frame: pl.LazyFrame) -> list[Rule]:
    """A context is as long as the first one, and finite."""
    if "context" not in frame.collect_schema().names():
        return []
    context = pl.col("context").list
    size = frame.select(context.len().drop_nulls().head(1)).head(1).collect().to_series()
    length = size.item() if len(size) else 0
    return [
        Rule("context", context.len().ne_missing(length), f"is no context like the first, expected {length} numbers"),
        Rule("context", context.eval(no_number(pl.element())).list.any(), "holds what is no finite number: fill it"),
    ]


def null_rule(name: str) -> Rule:
    """A column in which no row may be null."""
    return Rule(name, pl.col(name).is_null(), "is null, expected a value in every row: fill or drop it")


def no_number(value: pl.Expr) -> pl.Expr:
    """True where a number is null, NaN or infinite."""
    return (~value.cast(pl.Float64).is_finite()).fill_null(True)


def once(frame: pl.LazyFrame, keys: Sequence[str], rows: int, find: Find, excluding: bool) -> tuple[pl.LazyFrame, int]:
    """The table with each value of the keys once, and how many rows were left out.

    Raises:
        DataError: some come twice and rows are not left out.
    """
    if not repeated(frame, keys, rows):
        return frame, 0
    if not excluding:
        file, row, value = find(~pl.struct(keys).is_first_distinct(), keys[-1])
        raise DataError(f"{file}, row {row} (from 0), column {keys[-1]!r}: {value} {TWICE}")
    kept = frame.unique(keys, keep="first", maintain_order=True)
    return kept, rows - kept.select(pl.len()).collect(engine="streaming").item()


def sound(
    frame: pl.LazyFrame, rules: Sequence[Rule], find: Find, name: str, excluding: bool
) -> tuple[pl.LazyFrame, int, dict[str, int]]:
    """The table after its rules, how many rows it has, and how many were left out, by reason.

    Raises:
        DataError: a row is at fault and rows are not left out, or none is left.
    """
    counts: dict[str, int] = {}
    if excluding:
        frame, counts = exclude(frame, rules, name)
    else:
        check(frame, rules, find)
    rows = frame.select(pl.len()).collect(engine="streaming").item()
    if not rows:
        raise DataError(f"{name}: no row is left")
    return frame, rows, counts


def _named(frame: pl.LazyFrame, columns: Sequence[str]) -> pl.Series:
    """Every action that was chosen or could have been."""
    chosen = distinct(frame, pl.col("action"))
    if "candidates" not in columns:
        return chosen
    offered = distinct(frame, pl.col("candidates").explode()).cast(chosen.dtype)
    return pl.concat([chosen.alias("action"), offered.alias("action")]).unique().sort()
