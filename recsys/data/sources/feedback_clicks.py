"""Read the rewarded slots of a table of slate feedback as interactions to train on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from typing_extensions import override

from recsys.data.sources.folder import table_fingerprint
from recsys.data.sources.source import Source, Tables
from recsys.data.tables.canonical import SLATE_FEEDBACK
from recsys.data.tables.schema import read_table, with_required
from recsys.errors import DataError

NAMED_FEEDBACK = with_required(SLATE_FEEDBACK, "user_id", "timestamp", "rewards")
"""Slate feedback with a user, a time and a reward of each slot."""


@dataclass(frozen=True)
class FeedbackClicks(Source):
    """Interactions from a `feedback` table of slates: every slot with a positive reward, in the order of display.

    The catalogue is the items with a positive reward. If the log has slates of several policies, one policy must be
    chosen: users of different policies may have the same ids.

    Args:
        path: the table, written by `recsys bench log=true` or by you (docs/guide/tables.md).
        policy: the policy whose slates are read; None if the log has at most one policy.
        name: name of the data in reports; None takes the file name of the table.
    """

    path: str | Path
    policy: str | None = None
    name: str | None = None

    @override
    def tables(self) -> Tables:
        """Return the interactions. There are no tables of items and users.

        Raises:
            DataError: the log has several policies and `policy` is None, the log lacks `policy`, or no reward is
                positive.
        """
        location = str(self.path)
        rows = self._of_policy(read_table(location, NAMED_FEEDBACK))
        slots = rows.select("user_id", "timestamp", pl.col("slate").alias("item_id"), "rewards").explode(
            "item_id", "rewards"
        )
        earned = slots.filter(pl.col("rewards") > 0)
        if earned.head(1).collect().is_empty():
            raise DataError(f"{location}: no slot earned more than 0, so there are no interactions to learn from")
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
                raise DataError(f"{self.path}: no column 'policy' to find {self.policy!r} in. Set policy to null")
            return rows
        policies = rows.select(pl.col("policy").unique().sort()).collect().get_column("policy").to_list()
        named = ", ".join(map(str, policies))
        if self.policy is None and len(policies) > 1:
            raise DataError(
                f"{self.path}: found slates of {len(policies)} policies ({named}). Choose one with `policy`"
            )
        if self.policy is not None and self.policy not in policies:
            raise DataError(f"{self.path}: no slates of policy {self.policy!r}; found {named}. Choose one of these")
        return rows if self.policy is None else rows.filter(pl.col("policy") == self.policy)
