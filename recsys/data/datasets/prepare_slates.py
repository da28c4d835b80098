"""Prepare a log of slates from a source, and store it on disk with its split."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import torch
from safetensors.torch import load_file
from torch import Tensor

from recsys.atomic import write_json, write_parquet, write_tensors
from recsys.data.datasets import clean
from recsys.data.datasets.dataset import user_indices
from recsys.data.datasets.examples import SlateExamples
from recsys.data.datasets.slate_log import CLICK, LoggedChannel, SlateLog
from recsys.data.datasets.split import SlateSplit
from recsys.data.sources.source import SlateSource
from recsys.data.tables.text import as_ids
from recsys.types.context import Context
from recsys.types.feedback import ChannelKind
from recsys.types.jagged import Jagged

TABLES = ("items", "users", "requests")
LISTS = ("slates", "clicks", "prefix_propensities", "slot_propensities", "before")
FACTS = ("name", "timed", "displayed", "fingerprint", "summary")


@dataclass(frozen=True)
class PreparedSlates:
    """A log of slates and which of them train, validate and test.

    Args:
        log: what was shown and clicked.
        split: three masks over the impressions.
        taken: channel whose positive values put an item into a user's history (`SlateExamples`).
    """

    log: SlateLog
    split: SlateSplit
    taken: str = CLICK

    @property
    def name(self) -> str:
        """Name of the log."""
        return self.log.name

    @property
    def fingerprint(self) -> str:
        """Text that changes whenever the log or its split does."""
        return f"{self.log.fingerprint}/{self.split.fingerprint}/{self.taken}"

    @property
    def materials(self) -> SlateLog:
        """The log, from which slate models are built."""
        return self.log

    @cached_property
    def examples(self) -> SlateExamples:
        """All impressions as examples."""
        return SlateExamples(self.log, self.taken)

    @property
    def items(self) -> pl.DataFrame:
        """The table of items of the log."""
        return self.log.items

    @property
    def num_items(self) -> int:
        """Number of items `N` of the log."""
        return self.log.num_items

    @property
    def users(self) -> pl.DataFrame:
        """The table of users of the log."""
        return self.log.users

    @property
    def slots(self) -> int:
        """Number of slots of the longest slate of the log."""
        return self.examples.slots

    @property
    def sequences(self) -> Jagged:
        """The items that each user took from training slates, one row a user, oldest first."""
        return self.examples.taken_from(self.split.train)

    def recommend_context(self, user_ids: Sequence[int | str]) -> Context:
        """Return requests of the given users, with all that they took, before the log and in it, as history.

        Nothing is excluded, as in the examples that policies learn from.

        Args:
            user_ids: raw ids of users.

        Raises:
            DataError: an id is not in the data.
        """
        users = user_indices(self.users, user_ids, self.name)
        return Context(users, self.examples.complete().select(users), Jagged.empty(len(users)))

    def describe(self) -> str:
        """Describe the log and the size of the parts in one line of text."""
        names = ("train", "validation", "test")
        parts = ", ".join(f"{int(getattr(self.split, part).sum()):,} {part}" for part in names)
        return f"{self.log.describe()}; {parts}"

    def facts(self) -> dict[str, str]:
        """Return the sizes that a report lists."""
        return {
            "users": f"{self.log.num_users:,}",
            "items": f"{self.log.num_items:,}",
            "held-out slates": f"{int(self.split.test.sum()):,}",
        }

    def save(self, folder: Path) -> None:
        """Write the log and its split into a folder."""
        log = self.log
        for name in TABLES:
            write_parquet(folder / f"{name}.parquet", getattr(log, name))
        tensors: dict[str, Tensor] = {"user_offsets": log.user_offsets}
        if log.propensity is not None:
            tensors["propensity"] = log.propensity
        for name in LISTS:
            rows = getattr(log, name)
            if rows is not None:
                tensors |= {f"{name}.values": rows.values, f"{name}.offsets": rows.offsets}
        for name, channel in log.feedback.items():
            if isinstance(channel.value, Jagged):
                tensors[f"feedback.{name}.slot"] = channel.value.values
            else:
                tensors[f"feedback.{name}.slate"] = channel.value
        tensors |= {f"split.{field.name}": getattr(self.split, field.name) for field in fields(SlateSplit)}
        write_tensors(folder / "slates.safetensors", tensors)
        facts = {name: getattr(log, name) for name in FACTS}
        kinds = {name: channel.kind.value for name, channel in log.feedback.items()}
        facts |= {"summary": dict(log.summary), "feedback": kinds, "taken": self.taken}
        write_json(folder / "slates.json", facts, indent=2)

    @classmethod
    def load(cls, folder: Path) -> PreparedSlates:
        """Read what `save` wrote."""
        facts: dict[str, Any] = json.loads((folder / "slates.json").read_text())
        tensors = load_file(folder / "slates.safetensors")
        rows: dict[str, Any] = {name: pl.read_parquet(folder / f"{name}.parquet", glob=False) for name in TABLES}
        rows |= {
            name: Jagged(tensors[f"{name}.values"], tensors[f"{name}.offsets"])
            for name in LISTS
            if f"{name}.values" in tensors
        }
        feedback, taken = {}, facts.pop("taken")
        for name, kind in facts.pop("feedback").items():
            by_slot = tensors.get(f"feedback.{name}.slot")
            value = tensors[f"feedback.{name}.slate"] if by_slot is None else Jagged(by_slot, rows["slates"].offsets)
            feedback[name] = LoggedChannel(value, ChannelKind(kind))
        log = SlateLog(
            **facts,
            **rows,
            user_offsets=tensors["user_offsets"],
            propensity=tensors.get("propensity"),
            feedback=feedback,
        )
        split = SlateSplit(**{field.name: tensors[f"split.{field.name}"] for field in fields(SlateSplit)})
        return cls(log, split, taken)


COLUMNS = (
    "request_id",
    "user_id",
    "timestamp",
    "slate",
    "clicks",
    "source",
    "propensity",
    "prefix_propensities",
    "slot_propensities",
)
"""The columns of the table of impressions that a log keeps."""


def prepare_slates(source: SlateSource) -> SlateLog:
    """Read, sort and index the impressions of a source.

    The order of the rows in the source does not matter. Impressions are sorted by user, time and request id. Users and
    items are numbered in the order of their raw ids. The catalogue is the items of slates and histories; other rows of
    the table of items are counted and dropped.

    Raises:
        DataError: a table is malformed.
    """
    tables = source.slates()
    present = tables.impressions.collect_schema()
    rows = tables.impressions.select(name for name in (*COLUMNS, *tables.feedback) if name in present).collect()
    code, user_ids = clean.encode_ids(rows.get_column("user_id"))
    rows = rows.with_columns(code.alias("user")).sort("user", "timestamp", "request_id")
    user = _tensor(rows.get_column("user"), torch.int64)
    slates, before, item_ids = _encoded(rows.get_column("slate"), _before(user_ids, tables.histories))
    clicks = _jagged(rows.get_column("clicks"), torch.int64)
    items, without_impressions = _items(item_ids, tables.items, tables.group)
    users = _features(user_ids.to_frame("user_id").with_row_index("user"), tables.users, "user_id")
    summary = {
        "users": len(users),
        "items": len(items),
        "groups": items.get_column("group").n_unique(),
        "items_without_impressions": without_impressions,
        "impressions": len(rows),
        "clicks": len(clicks.values),
        "without_click": int((clicks.lengths == 0).sum()),
        **tables.dropped,
    }
    return SlateLog(
        name=tables.name,
        items=items,
        users=users,
        requests=_requests(rows),
        user_offsets=Jagged.from_lengths(user, torch.bincount(user, minlength=len(users))).offsets,
        slates=slates,
        clicks=clicks,
        timed=tables.timed,
        displayed=tables.displayed,
        fingerprint=tables.fingerprint,
        summary=summary,
        propensity=_tensor(rows.get_column("propensity"), torch.float64) if "propensity" in rows.columns else None,
        prefix_propensities=_lists(rows, "prefix_propensities"),
        slot_propensities=_lists(rows, "slot_propensities"),
        feedback={name: _channel(rows.get_column(name), kind) for name, kind in tables.feedback.items()},
        before=before,
    )


def _before(user_ids: pl.Series, histories: pl.LazyFrame | None) -> pl.Series | None:
    """Return the raw ids of what each user took before the log, an empty list for users that the table lacks."""
    if histories is None:
        return None
    known = histories.select(
        as_ids(pl.col("user_id"), histories.collect_schema()["user_id"], user_ids.dtype), "items"
    ).collect()
    lists = user_ids.to_frame("user_id").join(known, on="user_id", how="left", maintain_order="left")
    return lists.get_column("items").fill_null([])


def _encoded(slates: pl.Series, before: pl.Series | None) -> tuple[Jagged, Jagged | None, pl.Series]:
    """Return the item indices of slates and of earlier items, and the raw id behind each index."""
    ids = slates.explode()
    if before is None:
        code, item_ids = clean.encode_ids(ids)
        return _indices(code, slates), None, item_ids
    earlier = before.explode(empty_as_null=False).cast(ids.dtype)
    code, item_ids = clean.encode_ids(pl.concat([ids.rename("id"), earlier.rename("id")]))
    return _indices(code[: len(ids)], slates), _indices(code[len(ids) :], before), item_ids


def _indices(code: pl.Series, lists: pl.Series) -> Jagged:
    return Jagged.from_lengths(_tensor(code, torch.int64), _tensor(lists.list.len(), torch.int64))


def _channel(column: pl.Series, kind: ChannelKind) -> LoggedChannel:
    by_slot = isinstance(column.dtype, pl.List)
    return LoggedChannel(_jagged(column, torch.float32) if by_slot else _tensor(column, torch.float32), kind)


def _jagged(column: pl.Series, dtype: torch.dtype) -> Jagged:
    values = column.explode(empty_as_null=False)
    return Jagged.from_lengths(_tensor(values, dtype), _tensor(column.list.len(), torch.int64))


def _tensor(column: pl.Series, dtype: torch.dtype) -> Tensor:
    return torch.tensor(column.to_numpy(), dtype=dtype)


def _lists(rows: pl.DataFrame, name: str) -> Jagged | None:
    """Return a column of lists of probabilities in float64, since products over long slates are small; or None."""
    return _jagged(rows.get_column(name), torch.float64) if name in rows.columns else None


def _requests(rows: pl.DataFrame) -> pl.DataFrame:
    kind = rows.schema["timestamp"]
    seconds = pl.col("timestamp").dt.epoch("s") if isinstance(kind, pl.Datetime) else pl.col("timestamp")
    source = pl.col("source") if "source" in rows.columns else pl.lit(None)
    return rows.select("request_id", seconds.cast(pl.Int64), source.cast(pl.String).alias("source"))


def _items(item_ids: pl.Series, table: pl.LazyFrame | None, group: str | None) -> tuple[pl.DataFrame, int]:
    """Return the items with groups and features, and the number of rows of the table that no slate holds."""
    items = item_ids.to_frame("item_id").with_row_index("item")
    if table is None:
        return items.with_columns(pl.lit(0, dtype=pl.UInt32).alias("group")), 0
    if group is not None:
        table = table.with_columns(_label(group, table).alias("group_name")).drop("group", strict=False)
    features = table.drop("item", "group", strict=False).collect()
    items = _features(items, features.lazy(), "item_id")
    known = features.select(
        as_ids(pl.col("item_id"), features.schema["item_id"], item_ids.dtype).is_in(item_ids.implode()).sum()
    ).item()
    absent = len(features) - int(known)
    if group is None:
        return items.with_columns(pl.lit(0, dtype=pl.UInt32).alias("group")), absent
    number = pl.col("group_name").rank("dense") - 1
    last = pl.col("group_name").n_unique() - 1
    return items.with_columns(number.fill_null(last).cast(pl.UInt32).alias("group")), absent


def _label(group: str, table: pl.LazyFrame) -> pl.Expr:
    """Return the name of an item's group: the value, or the joined list; null if the list is empty."""
    if not isinstance(table.collect_schema()[group], pl.List):
        return pl.col(group)
    whole = pl.col(group).cast(pl.List(pl.String)).list.join(" | ")
    return pl.when(pl.col(group).list.len() > 0).then(whole)


def _features(rows: pl.DataFrame, table: pl.LazyFrame | None, key: str) -> pl.DataFrame:
    """Join the features of the source to the rows; missing ones are null."""
    if table is None:
        return rows
    table = table.drop(set(rows.columns) - {key}, strict=False).with_columns(
        as_ids(pl.col(key), table.collect_schema()[key], rows.schema[key])
    )
    return rows.join(table.collect(), on=key, how="left", maintain_order="left")
