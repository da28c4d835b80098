"""A table of slate or slot probabilities as the target policy for a log of slates."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.data.logs.batches import LoggedSlates
from recsys.data.logs.feedback_source import as_text_ids, find_rows, read_typed
from recsys.data.logs.log_checks import drop_duplicates, null_rule
from recsys.data.logs.policy_table import TOLERANCE, TOTAL, probability_rules
from recsys.data.logs.slates import SlateFeedbackLog
from recsys.data.sources.folder import table_fingerprint
from recsys.data.tables import scan
from recsys.data.tables.canonical import SLATE_POLICY_TABLE, SLOT_POLICY_TABLE
from recsys.data.tables.row_checks import FindRow, RowRule, check_rows
from recsys.data.tables.schema import read_table
from recsys.data.tables.tensors import list_lengths, pad_rows, to_float64
from recsys.errors import DataError, RequestError

LISTS = ("prefix_propensities", "slot_propensities")


@dataclass(frozen=True, eq=False)
class SlatePolicyTable:
    """The probabilities that a target policy gives the slates of a log; held in memory, 8 bytes a number.

    Args:
        name: name of the policy in reports.
        fingerprint: changes whenever the content of the table does.
        num_items: `N`.
        propensity: `[rounds]`, probability of each whole logged slate.
        prefix: `[rounds, S]`, probability of each logged item given the slots before it; 1 in empty slots.
        slot: `[rounds, S]`, probability of each logged item at its slot; 1 in empty slots.
        place: `[rows]`, ascending, `round · S + slot` of each row, for a policy that fills its slots independently.
        item: `[rows]`, index of each row's item.
        probability: `[rows]`.
    """

    name: str
    fingerprint: str
    num_items: int
    propensity: Float[Tensor, " rounds"] | None = None
    prefix: Float[Tensor, "rounds S"] | None = None
    slot: Float[Tensor, "rounds S"] | None = None
    place: Int[Tensor, " rows"] | None = None
    item: Int[Tensor, " rows"] | None = None
    probability: Float[Tensor, " rows"] | None = None

    def every_slot(self, batch: LoggedSlates) -> Float[Tensor, "n S N"]:
        """Return `[n, S, N]`, the probability of each item at each slot of each request, 0 where the table has no row.

        Raises:
            RequestError: the table has the logged slates only.
        """
        if self.place is None or self.item is None or self.probability is None:
            raise RequestError(
                f"policy table {self.name!r} has the logged slates only, and this estimator needs every item at every"
                " slot: give the table as request_id, slot, action, probability"
            )
        slots = batch.items.shape[1]
        wanted = (batch.request.unsqueeze(1) * slots + torch.arange(slots)).flatten()
        begin, end = torch.searchsorted(self.place, wanted), torch.searchsorted(self.place, wanted, right=True)
        sizes = end - begin
        rows = torch.repeat_interleave(torch.arange(len(wanted)), sizes)
        place = torch.repeat_interleave(begin - (sizes.cumsum(0) - sizes), sizes) + torch.arange(len(rows))
        found = torch.zeros(len(wanted), self.num_items, dtype=torch.float64)
        found[rows, self.item[place]] = self.probability[place]
        return found.view(len(batch), slots, -1)


def read_slate_policy_table(location: str | Path, log: SlateFeedbackLog, name: str | None = None) -> SlatePolicyTable:
    """Return the table of a target policy for a log of slates, checked against the log.

    The table has one of two forms. Either one row a request with the logged slate's `propensity`, `prefix_propensities`
    or `slot_propensities` under the policy; or rows `request_id`, `slot` (from 0), `action`, `probability` of a policy
    that fills its slots independently. In the second form a slot has either its logged item alone, or rows that sum to
    1; the probability of a slot then is also that of the prefix, and their product that of the slate.

    Args:
        location: location of the table.
        log: log with `request_id`.
        name: name of the policy in reports; None for the name of the file.

    Raises:
        DataError: a probability is outside [0, 1], a list has not one number a slot, a row stands twice, the rows of a
            slot do not sum to 1, an item is not the log's, or a request is missing.
        RequestError: the log has no `request_id`.
    """
    location = str(location)
    if "request_id" not in log.columns:
        raise RequestError(f"{log.name}: no column 'request_id' to join {location} with: add it to the log")
    by_slot = "slot" in scan.scan(location).collect_schema().names()
    schema = SLOT_POLICY_TABLE if by_slot else SLATE_POLICY_TABLE
    table = read_typed(read_table(location, schema, values=False), schema)
    ids = {"request_id": log.requests().collect_schema()["request_id"], "action": log.items.schema["item_id"]}
    table = as_text_ids(table, ids, location)
    fingerprint = hashlib.sha256(f"{table_fingerprint(location, table)} {log.fingerprint}".encode()).hexdigest()
    made = SlatePolicyTable(name or Path(location).stem, fingerprint, log.num_items)
    with scan.polars_errors(location):
        read = _of_slots if by_slot else _of_slates
        return read(table, log, made, find_rows(table, location))


def _of_slates(table: pl.LazyFrame, log: SlateFeedbackLog, made: SlatePolicyTable, find: FindRow) -> SlatePolicyTable:
    there = [column.name for column in SLATE_POLICY_TABLE.columns if column.name in table.collect_schema()]
    probabilities = [name for name in there if name != "request_id"]
    rules = [null_rule("request_id")]
    for name in probabilities:
        value = pl.element() if name in LISTS else pl.col(name)
        outside = (~value.cast(pl.Float64).is_between(0, 1)).fill_null(True)
        broken = pl.col(name).list.eval(outside).list.any().fill_null(True) if name in LISTS else outside
        rules.append(RowRule(name, broken, "is no probability, expected those in [0, 1] in every row"))
    check_rows(table, rules, find)
    rows = table.select(pl.len()).collect(engine="streaming").item()
    drop_duplicates(table, ["request_id"], rows, find, False)
    wanted = _rounds(log).select("round", "request_id", pl.col("slate").list.len().alias("size"))
    joined = wanted.join(table.select(there).with_columns(__there=True), on="request_id", how="left")
    found = joined.sort("round").collect(engine="streaming")
    _refuse(found.filter(pl.col("__there").is_null()), log, "has no row for this request")
    for name in set(LISTS) & set(probabilities):
        differs = found.filter(pl.col(name).list.len() != pl.col("size"))
        _refuse(differs, log, f"has not one number of {name!r} for each slot of this request's slate")
    tensors = {
        name: pad_rows(to_float64(found[name].explode()), list_lengths(found[name]), log.slots, 1.0)
        for name in set(LISTS) & set(probabilities)
    }
    prefix = tensors.get("prefix_propensities")
    whole = to_float64(found["propensity"]) if "propensity" in probabilities else None
    whole = prefix.prod(1) if whole is None and prefix is not None else whole
    return replace(made, propensity=whole, prefix=prefix, slot=tensors.get("slot_propensities"))


def _of_slots(table: pl.LazyFrame, log: SlateFeedbackLog, made: SlatePolicyTable, find: FindRow) -> SlatePolicyTable:
    strange = ~pl.col("action").is_in(log.items["item_id"].implode())
    rules = [null_rule(name) for name in ("request_id", "slot", "action")]
    rules += [*probability_rules(), RowRule("action", strange, "is outside the support, expected an item of the log")]
    rules.append(RowRule("slot", ~pl.col("slot").is_between(0, log.slots - 1), "is no slot of the log: count from 0"))
    check_rows(table, rules, find)
    rows = table.select(pl.len()).collect(engine="streaming").item()
    drop_duplicates(table, ["request_id", "slot", "action"], rows, find, False)
    _check_sums(table, find)
    logged = _rounds(log).with_columns(slot=pl.int_ranges(pl.col("slate").list.len())).explode("slate", "slot")
    keys = ["request_id", "slot"]
    pairs = logged.join(table.with_columns(pl.col("slot").cast(pl.Int64)), on=keys, how="left")
    found = pairs.sort("round", "slot").collect(engine="streaming")
    _refuse(found.filter(pl.col("action").is_null()), log, "lacks a slot of this request")
    here = pl.col("action") == pl.col("slate")
    facts = found.group_by("round", "slot", maintain_order=True).agg(
        TOTAL.alias("sum"),
        pl.col("probability").filter(here).cast(pl.Float64).sum().alias("logged"),
        here.any().alias("has"),
    )
    whole = (pl.col("sum") - 1).abs() <= TOLERANCE
    _refuse(facts.filter(~pl.col("has") & ~whole), log, "lacks the logged item of a slot of this request")
    sizes = torch.bincount(torch.from_numpy(facts["round"].cast(pl.Int64).to_numpy().copy()), minlength=len(log))
    slot = pad_rows(to_float64(facts["logged"]), sizes, log.slots, 1.0)
    made = replace(made, propensity=slot.prod(1), prefix=slot, slot=slot)
    if not facts.select(whole.all()).item():
        return made
    place = found["round"].cast(pl.Int64) * log.slots + found["slot"]
    return replace(
        made,
        place=torch.from_numpy(place.to_numpy().copy()),
        item=log.ids.indices(found["action"]),
        probability=to_float64(found["probability"]),
    )


def _rounds(log: SlateFeedbackLog) -> pl.LazyFrame:
    return log.requests().with_row_index("round")


def _check_sums(table: pl.LazyFrame, find: FindRow) -> None:
    sums = table.group_by("request_id", "slot").agg(pl.len().alias("rows"), TOTAL.alias("sum"))
    apart = (pl.col("rows") > 1) & ((pl.col("sum") - 1).abs() > TOLERANCE)
    wrong = sums.filter(apart).sort("request_id", "slot").head(1).collect(engine="streaming")
    if len(wrong):
        request, slot, rows, total = wrong.row(0)
        file, row, _ = find((pl.col("request_id") == request) & (pl.col("slot") == slot), "request_id")
        raise DataError(
            f"{file}, row {row} (from 0), column 'probability': the {rows} rows of request {request!r}, slot {slot},"
            f" sum to {total:.9g}, expected 1 within {TOLERANCE:g}: give the logged item alone, or all items"
        )


def _refuse(rows: pl.DataFrame, log: SlateFeedbackLog, text: str) -> None:
    if len(rows):
        number = rows.item(0, "round")
        request, slate = log.requests().slice(number, 1).collect().row(0)
        raise DataError(
            f"the policy table {text}: request {request!r}, slate {slate}, which is round {number} (from 0) of"
            f" {log.name}: mend its rows"
        )
