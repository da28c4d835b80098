"""Anyone's own log of feedback, as a canonical table."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from recsys.data import scan
from recsys.data.action_rules import action_log
from recsys.data.episode_rules import episode_log
from recsys.data.feedback_source import FeedbackLog
from recsys.data.parquet import mark
from recsys.data.raw_ids import distinct
from recsys.data.rules import Find, Rule, check, finder
from recsys.data.rules import exclude as left_out
from recsys.data.schema import ACTION_FEEDBACK, ACTIONS, SLATE_FEEDBACK, TRAJECTORIES, Kind, Schema, read_table
from recsys.data.slate_feedback_rules import slate_feedback
from recsys.errors import DataError


@dataclass(frozen=True)
class ParquetFeedback:
    """A table `feedback` or `trajectories`; its columns say which (docs/guide/tables.md).

    A column `slate` makes it a log of slates, else a column `episode_id` one of episodes, else it is one of single
    actions. What `recsys bench log=true` writes is such a table.

    Args:
        path: a Parquet file, a folder of them, hive partitions, a pattern, an object-store URL, or a `.csv` file.
        actions: a table of what can be chosen or shown, column `action` and any feature; None where that is what the
            log names. With it, whatever the table lacks is outside the support.
        policy: whose rows; None reads those of every policy.
        exclude: leave out rows at fault and count them, instead of refusing the log.
        repeats: whether a slate may hold an item twice.
        histories: whether policies see what a user took in the log before, of a log of slates.
        name: what reports call the log; the table's file name if None.
    """

    path: str | Path
    actions: str | Path | None = None
    policy: str | None = None
    exclude: bool = False
    repeats: bool = False
    histories: bool = False
    name: str | None = None

    def log(self) -> FeedbackLog:
        """The log, checked."""
        location = str(self.path)
        columns = scan.scan(location).collect_schema().names()
        schema = SLATE_FEEDBACK if "slate" in columns else TRAJECTORIES if "episode_id" in columns else ACTION_FEEDBACK
        frame = typed(read_table(location, schema, values=False), schema)
        marks = [mark(location, frame), str(self.policy)]
        known = None
        if self.actions is not None:
            table = read_table(self.actions, ACTIONS)
            marks.append(mark(str(self.actions), table))
            known = typed(table, ACTIONS).collect()
        find = _find(frame, location)
        if self.policy is not None:
            frame, find = self._of_policy(frame, find)
        name = self.name or Path(location).stem
        fingerprint = hashlib.sha256("\n".join(marks).encode()).hexdigest()
        with scan.plainly(location):
            if schema is SLATE_FEEDBACK:
                items = None if known is None else known.rename({"action": "item_id"})
                found = slate_feedback(
                    frame,
                    find,
                    name=name,
                    fingerprint=fingerprint,
                    items=items,
                    excluding=self.exclude,
                    repeats=self.repeats,
                )
                return found.with_histories() if self.histories else found
            make = episode_log if schema is TRAJECTORIES else action_log
            return make(frame, find, name=name, fingerprint=fingerprint, actions=known, excluding=self.exclude)

    def _of_policy(self, frame: pl.LazyFrame, find: Find) -> tuple[pl.LazyFrame, Find]:
        """The rows of one policy, and where such a row stands among all."""
        if "policy" not in frame.collect_schema():
            raise DataError(f"{self.path}: there is no column 'policy' to find {self.policy!r} in")
        chosen = pl.col("policy").cast(pl.String) == self.policy
        if not frame.select(chosen.any()).collect(engine="streaming").item():
            there = distinct(frame, pl.col("policy").cast(pl.String)).to_list()
            raise DataError(f"{self.path}: no rows of policy {self.policy!r}; there are {', '.join(there)}")
        return frame.filter(chosen), lambda broken, column: find(broken & chosen, column)


def typed(frame: pl.LazyFrame, schema: Schema) -> pl.LazyFrame:
    """Ids and lists of ids as int64 or as strings, whichever they are."""
    present = frame.collect_schema()
    casts = []
    for column in schema.columns:
        kind = present.get(column.name)
        if column.kind is Kind.ID and kind is not None:
            casts.append(pl.col(column.name).cast(pl.Int64 if kind.is_integer() else pl.String))
        if column.kind is Kind.IDS and isinstance(kind, pl.List):
            casts.append(pl.col(column.name).cast(pl.List(pl.Int64 if kind.inner.is_integer() else pl.String)))
    return frame.with_columns(casts)


def by_policy(
    path: str | Path, policy: str | None = None, exclude: bool = False, **options: Any
) -> dict[str, ParquetFeedback]:
    """A source for each policy that a table names, by its name; one called `log` where it names none.

    Args:
        path: of the table.
        policy: the only one to read; None reads all.
        exclude: leave out rows at fault and count them, those without a policy too.
        options: further ones, as in `ParquetFeedback`.

    Raises:
        DataError: there is no such table, or a row has no policy and none is to be left out.
    """
    location = str(path)
    if policy is not None:
        return {policy: ParquetFeedback(path, policy=policy, exclude=exclude, name=policy, **options)}
    frame = scan.scan(location)
    if "policy" not in frame.collect_schema():
        return {"log": ParquetFeedback(path, exclude=exclude, **options)}
    with scan.plainly(location):
        rules = [Rule("policy", pl.col("policy").is_null(), "is null, expected who wrote it in every row")]
        if exclude:
            frame, _ = left_out(frame, rules, location)
        else:
            check(frame, rules, _find(frame, location))
        names = distinct(frame, pl.col("policy").cast(pl.String))
    return {name: ParquetFeedback(path, policy=name, exclude=exclude, name=name, **options) for name in names}


def _find(frame: pl.LazyFrame, location: str) -> Find:
    return finder(frame, location) if location.endswith(".csv") else partial(scan.first_row, location)
