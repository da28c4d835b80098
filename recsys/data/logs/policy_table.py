"""A table of action probabilities as the target policy for a log of single actions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.data.logs.actions import ActionLog
from recsys.data.logs.batches import LoggedActions
from recsys.data.logs.feedback_source import as_text_ids, find_rows, read_typed
from recsys.data.logs.log_checks import drop_duplicates, null_rule
from recsys.data.sources.folder import table_fingerprint
from recsys.data.tables import scan
from recsys.data.tables.canonical import POLICY_TABLE
from recsys.data.tables.row_checks import FindRow, RowRule, check_rows
from recsys.data.tables.schema import read_table
from recsys.data.tables.tensors import row_batches, to_float64
from recsys.errors import DataError, RequestError

TOLERANCE = 1e-6
"""Largest difference from 1 of the sum of a request's probabilities."""

TOTAL = pl.col("probability").cast(pl.Float64).sum()
"""Sum of the probabilities of a request, in float64."""


@dataclass(frozen=True, eq=False)
class PolicyTable:
    """The probabilities that a target policy gives the actions of each round of a log.

    A table with one row a round, in the log's order, is joined in parts; another is joined in memory. It takes 8 bytes
    a round, and 16 a row where requests have all of their actions.

    Args:
        name: name of the policy in reports.
        logged: `[rounds]`, probability of the logged action.
        fingerprint: changes whenever the content of the table does.
        num_actions: `A`.
        offsets: `[rounds + 1]`, row at which each round begins; None where the table has the logged actions only.
        action: `[rows]`, index of each row's action.
        probability: `[rows]`.
        unknown_requests: number of requests of the table that the log does not have.
    """

    name: str
    logged: Float[Tensor, " rounds"]
    fingerprint: str
    num_actions: int
    offsets: Int[Tensor, " rounds_plus_one"] | None = None
    action: Int[Tensor, " rows"] | None = None
    probability: Float[Tensor, " rows"] | None = None
    unknown_requests: int = 0

    def target(self, batch: LoggedActions) -> Float[Tensor, " n"]:
        """Return `π(a | x)` of each round's logged action."""
        return self.logged[batch.request]

    def target_all(self, batch: LoggedActions) -> Float[Tensor, "n A"]:
        """Return `π(· | x)` of each round, 0 where the table has no row.

        Raises:
            RequestError: the table has the logged actions only.
        """
        if self.offsets is None or self.action is None or self.probability is None:
            raise RequestError(
                f"policy table {self.name!r} has the logged actions only, and this estimator needs the probability of"
                " every action: add the other actions' rows, or choose an estimator that only weighs"
            )
        sizes = self.offsets.diff()[batch.request]
        rows = torch.repeat_interleave(torch.arange(len(batch)), sizes)
        first = torch.repeat_interleave(self.offsets[batch.request] - (sizes.cumsum(0) - sizes), sizes)
        place = first + torch.arange(len(rows))
        found = torch.zeros(len(batch), self.num_actions, dtype=torch.float64)
        found[rows, self.action[place]] = self.probability[place]
        return found


def read_policy_table(location: str | Path, log: ActionLog, name: str | None = None) -> PolicyTable:
    """Return the table of a target policy (`request_id`, `action`, `probability`), checked against its log.

    A request has either the row of its logged action alone, or rows that sum to 1; an action without a row then has
    probability 0.

    Args:
        location: location of the table.
        log: log with `request_id`.
        name: name of the policy in reports; None for the name of the file.

    Raises:
        DataError: a probability is outside [0, 1], a request and action stand twice, the rows of a request do not sum
            to 1, an action is not the log's, or a round of the log is missing.
        RequestError: the log has no `request_id`.
    """
    location = str(location)
    if "request_id" not in log.columns:
        raise RequestError(f"{log.name}: no column 'request_id' to join {location} with: add it to the log")
    table = read_typed(read_table(location, POLICY_TABLE, values=False), POLICY_TABLE)
    ids = log.requests().collect_schema()
    table = as_text_ids(table, {name: ids[name] for name in ("request_id", "action")}, location)
    find = find_rows(table, location)
    with scan.polars_errors(location):
        check_rows(table, _rules(log), find)
        rows = table.select(pl.len()).collect(engine="streaming").item()
        drop_duplicates(table, ["request_id", "action"], rows, find, False)
        name = name or Path(location).stem
        fingerprint = hashlib.sha256(f"{table_fingerprint(location, table)} {log.fingerprint}".encode()).hexdigest()
        if rows == log.rounds and _aligned(table, log):
            return PolicyTable(name, _column(table, rows), fingerprint, log.num_actions)
        return _joined(table, log, name, fingerprint, find)


def probability_rules() -> list[RowRule]:
    """Return the rules for a column `probability` of a target policy, which may be 0."""
    outside = (~pl.col("probability").cast(pl.Float64).is_between(0, 1)).fill_null(True)
    return [RowRule("probability", outside, "is no probability, expected one in [0, 1] in every row")]


def _rules(log: ActionLog) -> list[RowRule]:
    strange = ~pl.col("action").is_in(log.actions["action"].implode())
    text = "is outside the support, expected an action of the log: name every action with the log's table of actions"
    return [null_rule("request_id"), null_rule("action"), *probability_rules(), RowRule("action", strange, text)]


def _aligned(table: pl.LazyFrame, log: ActionLog) -> bool:
    """Return whether the rows of the table are the rounds of the log, in the log's order."""
    theirs = table.select(pl.col("request_id").alias("request"), pl.col("action").alias("choice"))
    both = pl.concat([log.requests(), theirs], how="horizontal")
    same = (pl.col("request_id") == pl.col("request")) & (pl.col("action") == pl.col("choice"))
    return bool(both.select(same.all()).collect(engine="streaming").item())


def _column(table: pl.LazyFrame, rows: int) -> Float[Tensor, " rows"]:
    found = torch.empty(rows, dtype=torch.float64)
    for start, part in row_batches(table.select("probability")):
        found[start : start + len(part)] = to_float64(part["probability"])
    return found


def _joined(table: pl.LazyFrame, log: ActionLog, name: str, fingerprint: str, find: FindRow) -> PolicyTable:
    sums = table.group_by("request_id").agg(
        pl.len().alias("rows"), pl.col("probability").cast(pl.Float64).sum().alias("sum")
    )
    apart = (pl.col("sum") - 1).abs() > TOLERANCE
    _refuse_sums(sums.filter((pl.col("rows") > 1) & apart), find)
    rounds = log.requests().with_row_index("round").rename({"action": "choice"})
    pairs = rounds.join(table, on="request_id", how="left").select("round", "choice", "action", "probability")
    found = pairs.sort("round").collect(engine="streaming")
    absent = found.filter(pl.col("action").is_null())
    if len(absent):
        _refuse_round(log, absent.item(0, "round"), "has no row for this request")
    chosen = found.filter(pl.col("action") == pl.col("choice"))
    logged = torch.zeros(log.rounds, dtype=torch.float64)
    logged[_index(chosen["round"])] = to_float64(chosen["probability"])
    whole = found.group_by("round", maintain_order=True).agg(
        pl.len().alias("rows"), pl.col("probability").cast(pl.Float64).sum()
    )
    lacking = whole.filter((pl.col("probability") - 1).abs() > TOLERANCE)
    unmatched = lacking.join(chosen.select("round"), on="round", how="anti", maintain_order="left")
    if len(unmatched):
        _refuse_round(log, unmatched.item(0, "round"), "has a row for this request, but none for its logged action")
    unknown = sums.join(rounds, on="request_id", how="anti").select(pl.len()).collect().item()
    if len(lacking):
        return PolicyTable(name, logged, fingerprint, log.num_actions, unknown_requests=unknown)
    offsets = torch.zeros(log.rounds + 1, dtype=torch.long)
    offsets[1:] = _index(whole["rows"]).cumsum(0)
    actions = log.ids.indices(found["action"])
    return PolicyTable(
        name, logged, fingerprint, log.num_actions, offsets, actions, to_float64(found["probability"]), unknown
    )


def _index(column: pl.Series) -> Int[Tensor, " n"]:
    return torch.from_numpy(column.cast(pl.Int64).to_numpy().copy())


def _refuse_sums(sums: pl.LazyFrame, find: FindRow) -> None:
    wrong = sums.sort("request_id").head(1).collect()
    if len(wrong):
        request, total = wrong.item(0, "request_id"), wrong.item(0, "sum")
        file, row, _ = find(pl.col("request_id") == request, "request_id")
        raise DataError(
            f"{file}, row {row} (from 0), column 'probability': the {wrong.item(0, 'rows')} rows of request {request!r}"
            f" sum to {total:.9g}, expected 1 within {TOLERANCE:g}: give the logged action alone, or all actions"
        )


def _refuse_round(log: ActionLog, number: int, text: str) -> None:
    request, action = log.requests().slice(number, 1).collect().row(0)
    raise DataError(
        f"the policy table {text}: request {request!r}, action {action!r}, which is round {number} (from 0) of"
        f" {log.name}: add its row"
    )
