"""Tables of slates with rewards: what makes a row unfit to be replayed, and the log made of the rest."""

from __future__ import annotations

import polars as pl

from recsys.data.action_rules import context_rules, no_number, null_rule, once, sound
from recsys.data.raw_ids import distinct
from recsys.data.rules import Find, Rule, propensity_rules, slate_rules
from recsys.data.slate_feedback import SlateFeedback

PRODUCT_TOLERANCE = 1e-3
"""How far a slate's propensity may be from the product of its prefixes, as a share of it: float32 logs round."""


def slate_feedback(
    frame: pl.LazyFrame,
    find: Find,
    *,
    name: str,
    fingerprint: str,
    items: pl.DataFrame | None = None,
    excluding: bool = False,
    repeats: bool = False,
    left_out: dict[str, int] | None = None,
) -> SlateFeedback:
    """The log of a table whose columns have the right types, after its rows were checked.

    Args:
        frame: one row a request, columns as in `recsys.data.schema.SLATE_FEEDBACK`.
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
    frame, rows, counts = sound(frame, slate_feedback_rules(frame, known, repeats), find, name, excluding)
    if "request_id" in columns:
        frame, twice = once(frame, ["request_id"], rows, find, excluding)
        counts |= {"request_id stands twice": twice} if twice else {}
        rows -= twice
    if items is None:
        lists = [column for column in ("slate", "candidates") if column in columns]
        found = [distinct(frame, pl.col(column).explode()).alias("item_id") for column in lists]
        items = pl.concat(found).unique().to_frame()
    return SlateFeedback(
        name=name,
        frame=frame,
        items=items.sort("item_id"),
        rounds=rows,
        slots=frame.select(pl.col("slate").list.len().max()).collect(engine="streaming").item(),
        fingerprint=fingerprint,
        users=distinct(frame, pl.col("user_id")) if "user_id" in columns else None,
        summary={"rounds": rows, "items": len(items)} | (left_out or {}) | counts,
    )


def slate_feedback_rules(frame: pl.LazyFrame, known: pl.Series | None, repeats: bool) -> list[Rule]:
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
        rules.append(Rule("rewards", length, "has not one reward for each slot of its slate"))
        strange = pl.col("rewards").list.eval(no_number(pl.element())).list.any()
        rules.append(Rule("rewards", strange, "holds what is no reward, expected a finite number in every slot"))
    elif "reward" in columns:
        rules.append(Rule("reward", no_number(pl.col("reward")), "is no reward, expected a finite number in every row"))
    rules += propensity_rules(columns, size)
    if {"propensity", "prefix_propensities"} <= set(columns):
        prefixes = pl.col("prefix_propensities").list.eval(pl.element().cast(pl.Float64).log()).list.sum()
        apart = (pl.col("propensity").cast(pl.Float64).log() - prefixes).abs() > PRODUCT_TOLERANCE
        rules.append(Rule("propensity", apart, "is not the product of prefix_propensities: write one of the two"))
    return rules + _support_rules(columns, known) + context_rules(frame)


def _support_rules(columns: list[str], known: pl.Series | None) -> list[Rule]:
    rules = []
    if known is not None:
        for name in ("slate", "candidates"):
            if name in columns:
                outside = ~pl.col(name).list.eval(pl.element().is_in(known.implode())).list.all()
                rules.append(Rule(name, outside, "holds an item outside the support, which is the table of items"))
    if "candidates" in columns:
        inside = pl.col("slate").list.set_difference(pl.col("candidates")).list.len() == 0
        rules.append(Rule("slate", (~inside).fill_null(True), "holds an item outside the row's candidates"))
    return rules
