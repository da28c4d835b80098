"""A log of slates and its split on disk: three Parquet tables, one file of tensors and one of JSON."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import polars as pl
from safetensors.torch import load_file, save_file
from torch import Tensor

from recsys.data.jagged import Jagged
from recsys.data.slate_log import SlateLog
from recsys.data.slate_split import SlateSplit

TABLES = ("items", "users", "requests")
LISTS = ("slates", "clicks", "prefix_propensities", "slot_propensities")
FACTS = ("name", "timed", "displayed", "fingerprint", "summary")


def save_slates(log: SlateLog, split: SlateSplit, folder: Path) -> None:
    """Write into a folder what `load_slates` reads."""
    for name in TABLES:
        getattr(log, name).write_parquet(folder / f"{name}.parquet")
    tensors: dict[str, Tensor] = {"user_offsets": log.user_offsets}
    if log.propensity is not None:
        tensors["propensity"] = log.propensity
    for name in LISTS:
        rows = getattr(log, name)
        if rows is not None:
            tensors |= {f"{name}.values": rows.values, f"{name}.offsets": rows.offsets}
    tensors |= {f"split.{field.name}": getattr(split, field.name) for field in fields(SlateSplit)}
    save_file({name: value.clone() for name, value in tensors.items()}, folder / "slates.safetensors")
    facts = {name: getattr(log, name) for name in FACTS}
    (folder / "slates.json").write_text(json.dumps({**facts, "summary": dict(log.summary)}, indent=2))


def load_slates(folder: Path) -> tuple[SlateLog, SlateSplit]:
    """Read what `save_slates` wrote."""
    facts: dict[str, Any] = json.loads((folder / "slates.json").read_text())
    tensors = load_file(folder / "slates.safetensors")
    rows: dict[str, Any] = {name: pl.read_parquet(folder / f"{name}.parquet") for name in TABLES}
    rows |= {
        name: Jagged(tensors[f"{name}.values"], tensors[f"{name}.offsets"])
        for name in LISTS
        if f"{name}.values" in tensors
    }
    log = SlateLog(**facts, **rows, user_offsets=tensors["user_offsets"], propensity=tensors.get("propensity"))
    return log, SlateSplit(**{field.name: tensors[f"split.{field.name}"] for field in fields(SlateSplit)})
