"""Checks of the rows of a table of logged slates."""

from __future__ import annotations

import polars as pl

from recsys.data.logs.log_checks import context_rules, not_finite, null_rule
from recsys.data.tables.row_checks import RowRule, propensity_rules, slate_rules

PRODUCT_TOLERANCE = 1e-3
"""Largest relative difference between a slate's propensity and the product of its prefixes; float32 logs round."""


def slate_feedback_rules(frame: pl.LazyFrame, known: pl.Series | None, repeats: bool) -> list[RowRule]:
    """Return the rules for the rows of a log of slates, for the columns that are there.

    Args:
        frame: one row a request.
        known: raw ids of the possible items; None where they are not given.
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
