"""Columns of feedback that a configuration names with their kind, and the checks of their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import polars as pl

from recsys.data.tables.canonical import EXPOSURES, IMPRESSIONS
from recsys.data.tables.row_checks import RowRule
from recsys.data.tables.schema import ColumnKind, TableColumn, TableSchema
from recsys.errors import ConfigurationError
from recsys.types.feedback import ChannelKind

FeedbackKinds = Mapping[str, Literal["binary", "count", "seconds", "rating", "number"]]
"""The kind of each column of feedback, a value of `recsys.types.feedback.ChannelKind`."""

EXPECTED = {
    ChannelKind.BINARY: "0 or 1",
    ChannelKind.COUNT: "a whole number of at least 0",
    ChannelKind.SECONDS: "a finite number of seconds of at least 0",
    ChannelKind.RATING: "a finite number",
    ChannelKind.NUMBER: "a finite number",
}
"""Descriptions of the values of each kind, for messages."""

TAKEN = {column.name for schema in (EXPOSURES, IMPRESSIONS) for column in schema.columns}
"""Columns that have a meaning of their own."""


def channel_kinds(feedback: Mapping[str, str]) -> dict[str, ChannelKind]:
    """Return the kinds of the named columns.

    Args:
        feedback: the columns with their kinds, as a configuration has them.

    Raises:
        ConfigurationError: there is no such kind, or a table's own column is named.

    >>> channel_kinds({"like": "binary"})["like"].value
    'binary'
    """
    for name, kind in feedback.items():
        if kind not in set(ChannelKind):
            known = ", ".join(ChannelKind)
            raise ConfigurationError(f"feedback.{name}: {kind!r} is no kind of feedback, expected one of {known}")
        if name in TAKEN:
            raise ConfigurationError(f"feedback.{name}: column {name!r} has another meaning. Rename the feedback")
    return {name: ChannelKind(kind) for name, kind in feedback.items()}


def with_feedback(schema: TableSchema, kinds: Mapping[str, ChannelKind], kind: ColumnKind) -> TableSchema:
    """Return the schema with the columns of feedback, all of them required.

    Args:
        schema: schema of the table.
        kinds: the columns of feedback.
        kind: kind of the columns: numbers, or also lists with one number a slot.
    """
    return replace(schema, columns=(*schema.columns, *(TableColumn(name, kind, required=True) for name in kinds)))


def feedback_rules(
    kinds: Mapping[str, ChannelKind], present: Mapping[str, Any], size: pl.Expr | None = None
) -> list[RowRule]:
    """Return the rules for columns of feedback.

    Args:
        kinds: the columns and their kinds.
        present: polars type of each column of the table; a column of lists has one value for each slot of its slate.
        size: number of slots of each row's slate; None for tables without slates.
    """
    rules = []
    for name, kind in kinds.items():
        text = f"is no feedback of kind {kind.value}, expected {EXPECTED[kind]} in every"
        advice = "Correct the value, or name the column's own kind"
        if size is not None and isinstance(present[name], pl.List):
            length = pl.col(name).list.len().ne_missing(size)
            invalid = pl.col(name).list.eval(_invalid(pl.element(), kind)).list.any()
            rules.append(RowRule(name, length, "has another length than its slate, expected one value a slot"))
            rules.append(RowRule(name, invalid, f"holds what {text} slot. {advice}"))
        else:
            rules.append(RowRule(name, _invalid(pl.col(name), kind), f"{text} row. {advice}"))
    return rules


def _invalid(value: pl.Expr, kind: ChannelKind) -> pl.Expr:
    """Return an expression that is true unless the value is one of its kind. NaN and null are invalid."""
    number = value.cast(pl.Float64, strict=False)
    valid = number.is_finite()
    if kind is ChannelKind.BINARY:
        valid = number.is_in([0.0, 1.0])
    elif kind is ChannelKind.COUNT:
        valid &= (number >= 0) & (number == number.floor())
    elif kind is ChannelKind.SECONDS:
        valid &= number >= 0
    return (~valid).fill_null(True)
