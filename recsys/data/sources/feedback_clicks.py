"""The rewarded slots of a table of slate feedback as interactions to train on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recsys.data.sources.parquet import table_fingerprint
from recsys.data.sources.source import Tables
from recsys.data.tables.canonical import SLATE_FEEDBACK
from recsys.data.tables.schema import read_table, with_required
from recsys.errors import DataError

NAMED_FEEDBACK = with_required(SLATE_FEEDBACK, "user_id", "timestamp", "rewards")
"""Feedback that says who was shown what and when, and what each slot earned."""


@dataclass(frozen=True)
class FeedbackClicks:
    """Interactions of a `feedback` table of slates: every slot that earned something, in the order shown.

    The catalogue is what earned something. Slates of one policy only are read where the log names several, since users
    of different policies may have the same ids.

    Args:
        path: the table; what `recsys bench log=true` writes, or anyone's own (docs/guide/tables.md).
        policy: whose slates; None where the log names one policy at most.
        name: what reports call the data; the table's file name if None.
    """

    path: str | Path
    policy: str | None = None
    name: str | None = None

    def tables(self) -> Tables:
        """The tables, checked.

        Raises:
            DataError: the log has several policies and none was named, has not the one that was, or nothing earned.
        """
        location = str(self.path)
        rows = self._of_policy(read_table(location, NAMED_FEEDBACK))
        slots = rows.select("user_id", "timestamp", pl.col("slate").alias("item_id"), "rewards").explode(
            "item_id", "rewards"
        )
        earned = slots.filter(pl.col("rewards") > 0)
        if earned.head(1).collect().is_empty():
            raise DataError(f"{location}: no slot earned more than 0, so that there is nothing to learn from")
        order = pl.int_range(pl.len()).over("user_id").alias("order")
        return Tables(
            interactions=earned.sort("timestamp", maintain_order=True).select("user_id", "item_id", order),
            items=None,
            users=None,
            name=self.name or Path(location).stem,
            fingerprint=hashlib.sha256(f"{table_fingerprint(location, rows)} {self.policy}".encode()).hexdigest(),
        )

    def _of_policy(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        if "policy" not in rows.collect_schema():
            if self.policy is not None:
                raise DataError(f"{self.path}: there is no column 'policy' to find {self.policy!r} in")
            return rows
        there = rows.select(pl.col("policy").unique().sort()).collect().get_column("policy").to_list()
        named = ", ".join(map(str, there))
        if self.policy is None and len(there) > 1:
            raise DataError(f"{self.path}: slates of {len(there)} policies ({named}): name one with `policy`")
        if self.policy is not None and self.policy not in there:
            raise DataError(f"{self.path}: no slates of policy {self.policy!r}; there are {named}")
        return rows if self.policy is None else rows.filter(pl.col("policy") == self.policy)
