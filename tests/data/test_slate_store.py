from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from recsys.data.jagged import Jagged
from recsys.data.slate_log import SlateLog
from recsys.data.slate_split import SlateSplit
from recsys.data.slate_store import load_slates, save_slates
from tests.slate_logs import tiny_log

MASK = torch.arange(10) % 2 == 0
SPLIT = SlateSplit(MASK, ~MASK, torch.zeros(10, dtype=torch.bool))


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Jagged):
        return torch.equal(one.values, other.values) and torch.equal(one.offsets, other.offsets)
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    return one.equals(other) if isinstance(one, pl.DataFrame) else one == other


def with_propensities() -> SlateLog:
    log = tiny_log()
    each = Jagged(torch.rand(len(log.slates.values), dtype=torch.float64), log.slates.offsets)
    summary = {"users": 4, "without_click": 3}
    return replace(log, propensity=torch.rand(10).double(), prefix_propensities=each, summary=summary)


@pytest.mark.parametrize("log", [tiny_log(), with_propensities()], ids=["plain", "propensities"])
def test_what_is_read_is_what_was_written(log: SlateLog, tmp_path: Path) -> None:
    save_slates(log, SPLIT, tmp_path)
    found, split = load_slates(tmp_path)
    for field in fields(SlateLog):
        assert same(getattr(log, field.name), getattr(found, field.name)), field.name
    assert split.fingerprint == SPLIT.fingerprint
    assert all(same(getattr(SPLIT, field.name), getattr(split, field.name)) for field in fields(SlateSplit))


def test_another_split_has_another_fingerprint() -> None:
    assert replace(SPLIT, train=SPLIT.validation, validation=SPLIT.train).fingerprint != SPLIT.fingerprint
