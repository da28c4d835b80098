"""The protocol of sources of logged feedback, and its reader of canonical tables."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import polars as pl
from typing_extensions import override

from recsys.data.logs.actions import ActionLog, action_log
from recsys.data.logs.episodes import EpisodeLog, episode_log
from recsys.data.logs.slates import SlateFeedbackLog, slate_feedback_log
from recsys.data.sources.folder import table_fingerprint
from recsys.data.tables import scan
from recsys.data.tables.canonical import ACTION_FEEDBACK, ACTIONS, SLATE_FEEDBACK, TRAJECTORIES
from recsys.data.tables.row_checks import FindRow, RowRule, check_rows, row_finder
from recsys.data.tables.row_checks import exclude as left_out
from recsys.data.tables.schema import ColumnKind, TableSchema, read_table
from recsys.data.tables.tensors import distinct_ids
from recsys.data.tables.text import is_text
from recsys.errors import DataError

FeedbackLog = ActionLog | SlateFeedbackLog | EpisodeLog
"""A log that `recsys replay` reads."""


UNNAMED_LOG = "log"
"""Name of the one log of a table that names no logging policy."""


@runtime_checkable
class FeedbackSource(Protocol):
    """A source of logged feedback: a public data set, files of another system, or your own tables."""

    def log(self) -> FeedbackLog:
        """Return the log, after its rows were checked.

        Raises:
            DataError: the log is missing, or a row is faulty and the source does not leave out faulty rows.
        """
        ...


@dataclass(frozen=True)
class ParquetFeedback(FeedbackSource):
    """A table `feedback` or `trajectories` (docs/guide/tables.md).

    A table with a column `slate` is a log of slates, else one with `episode_id` a log of episodes, else one of single
    actions. `recsys bench log=true` writes such a table.

    Args:
        path: a Parquet file, a folder of them, hive partitions, a pattern, an object-store URL, or a file of text
            (`.csv`, `.tsv`, also `.gz`).
        actions: table of the possible actions or items, column `action` and any feature; an action that it lacks is
            refused. None for the actions of the log.
        policy: name of the logging policy whose rows are read; None reads all rows.
        exclude: leave out faulty rows and count them, instead of refusing the log.
        repeats: whether a slate may hold an item twice.
        histories: whether contexts hold what a user took earlier in the log; for logs of slates.
        name: name of the log in reports; None for the name of the file.
    """

    path: str | Path
    actions: str | Path | None = None
    policy: str | None = None
    exclude: bool = False
    repeats: bool = False
    histories: bool = False
    name: str | None = None

    @override
    def log(self) -> FeedbackLog:
        location = str(self.path)
        columns = scan.scan(location).collect_schema().names()
        schema = SLATE_FEEDBACK if "slate" in columns else TRAJECTORIES if "episode_id" in columns else ACTION_FEEDBACK
        frame = read_typed(read_table(location, schema, values=False), schema)
        marks = [table_fingerprint(location, frame), str(self.policy)]
        known = None
        if self.actions is not None:
            table = read_table(self.actions, ACTIONS)
            marks.append(table_fingerprint(str(self.actions), table))
            actions = as_text_ids(read_typed(table, ACTIONS), {"action": _action_type(frame)}, str(self.actions))
            known = actions.collect()
        find = find_rows(frame, location)
        if self.policy is not None:
            frame, find = self._of_policy(frame, find)
        name = self.name or Path(location).stem
        fingerprint = hashlib.sha256("\n".join(marks).encode()).hexdigest()
        with scan.polars_errors(location):
            if schema is SLATE_FEEDBACK:
                items = None if known is None else known.rename({"action": "item_id"})
                found = slate_feedback_log(
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

    def _of_policy(self, frame: pl.LazyFrame, find: FindRow) -> tuple[pl.LazyFrame, FindRow]:
        """Return the rows of one policy, and a function that finds their place in the whole table."""
        if "policy" not in frame.collect_schema():
            raise DataError(f"{self.path}: there is no column 'policy' to find {self.policy!r} in")
        chosen = pl.col("policy").cast(pl.String) == self.policy
        if not frame.select(chosen.any()).collect(engine="streaming").item():
            there = distinct_ids(frame, pl.col("policy").cast(pl.String)).to_list()
            raise DataError(f"{self.path}: no rows of policy {self.policy!r}; there are {', '.join(there)}")
        return frame.filter(chosen), lambda broken, column: find(broken & chosen, column)


def read_typed(frame: pl.LazyFrame, schema: TableSchema) -> pl.LazyFrame:
    """Return the table with ids and lists of ids as int64 or strings, as they are stored."""
    present = frame.collect_schema()
    casts = []
    for column in schema.columns:
        kind = present.get(column.name)
        if column.kind is ColumnKind.ID and kind is not None:
            casts.append(pl.col(column.name).cast(pl.Int64 if kind.is_integer() else pl.String))
        if column.kind is ColumnKind.IDS and isinstance(kind, pl.List):
            casts.append(pl.col(column.name).cast(pl.List(pl.Int64 if kind.inner.is_integer() else pl.String)))
    return frame.with_columns(casts)


def as_text_ids(table: pl.LazyFrame, wanted: Mapping[str, Any], location: str) -> pl.LazyFrame:
    """Return a table that belongs to a log with its ids as strings where those of the log are.

    Integers of a file of text become the strings that they are written as.

    Args:
        table: the table.
        wanted: type of the log's ids, by the column of the table that holds such ids; None if the log has none.
        location: location of the table.

    Raises:
        DataError: ids have another type than the log's.
    """
    present = table.collect_schema()
    for column, kind in wanted.items():
        if kind is None or column not in present or present[column].is_integer() == kind.is_integer():
            continue
        if kind.is_integer() or not is_text(location):
            raise DataError(
                f"{location}: column {column!r} is {present[column]} here and {kind} in the log: make both the same"
            )
        table = table.with_columns(pl.col(column).cast(pl.String))
    return table


def _action_type(frame: pl.LazyFrame) -> Any:
    """Return the type of the ids of actions or of the items of slates; None if the table has neither."""
    present = frame.collect_schema()
    if "slate" in present and isinstance(slate := present["slate"], pl.List):
        return pl.Series(dtype=slate.inner).dtype
    return present.get("action")


def by_policy(
    path: str | Path, policy: str | None = None, exclude: bool = False, **options: Any
) -> dict[str, ParquetFeedback]:
    """Return a source for each logging policy of a table, by its name; one source `log` where the table names none.

    Args:
        path: path of the table.
        policy: name of the only policy to read; None reads all.
        exclude: leave out faulty rows and count them, including rows without a policy.
        options: further arguments of `ParquetFeedback`.

    Raises:
        DataError: there is no such table, or a row has no policy and rows are not left out.
    """
    location = str(path)
    if policy is not None:
        return {policy: ParquetFeedback(path, policy=policy, exclude=exclude, name=policy, **options)}
    frame = scan.scan(location)
    if "policy" not in frame.collect_schema():
        return {UNNAMED_LOG: ParquetFeedback(path, exclude=exclude, **options)}
    with scan.polars_errors(location):
        rules = [RowRule("policy", pl.col("policy").is_null(), "is null, expected who wrote it in every row")]
        if exclude:
            frame, _ = left_out(frame, rules, location)
        else:
            check_rows(frame, rules, find_rows(frame, location))
        names = distinct_ids(frame, pl.col("policy").cast(pl.String))
    return {name: ParquetFeedback(path, policy=name, exclude=exclude, name=name, **options) for name in names}


def find_rows(frame: pl.LazyFrame, location: str) -> FindRow:
    """Return the function that finds rows of a table. Columns of text are cast in `frame` only, so it looks there.

    Args:
        frame: the table as `read_table` returned it.
        location: its location.
    """
    return row_finder(frame, location) if is_text(location) else partial(scan.first_row, location)
