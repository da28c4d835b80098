from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import torch

from recsys.data.tables.row_checks import has_duplicates
from recsys.data.tables.tensors import RawIds, distinct_ids, list_lengths, pad_rows, row_batches, to_float64, to_matrix


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_parts_are_the_table_in_order(tmp_path: Path, size: int) -> None:
    for part in range(3):
        rows = pl.DataFrame({"a": range(part * 100, part * 100 + 100)})
        rows.write_parquet(tmp_path / f"{part}.parquet", row_group_size=40)
    frame = pl.scan_parquet(tmp_path).filter(pl.col("a") % 2 == 0)
    found = list(row_batches(frame, size))
    assert [start for start, _ in found] == list(range(0, 150, size))[: len(found)]
    assert all(len(part) <= size for _, part in found)
    assert pl.concat([part for _, part in found])["a"].to_list() == list(range(0, 300, 2))


def test_parts_are_counted_by_their_rows_whatever_the_engine_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    uneven = [pl.DataFrame({"a": [0]}), pl.DataFrame({"a": [1, 2, 3]}), pl.DataFrame({"a": [4, 5]})]
    monkeypatch.setattr(pl.LazyFrame, "collect_batches", lambda *_, **__: iter(uneven))
    found = [(start, part["a"].to_list()) for start, part in row_batches(pl.LazyFrame(), 2)]
    assert found == [(0, [0]), (1, [1, 2]), (3, [3]), (4, [4, 5])]


def test_an_empty_table_has_no_parts() -> None:
    assert list(row_batches(pl.LazyFrame({"a": []}))) == []


def test_columns_become_tensors() -> None:
    assert to_float64(pl.Series([True, False])).tolist() == [1.0, 0.0]
    assert to_matrix(pl.Series([[1, 2], [3, 4]])).dtype == torch.float64
    assert list_lengths(pl.Series([[1, 2], [], [3]])).tolist() == [2, 0, 1]
    assert pad_rows(torch.tensor([5, 6]), torch.tensor([0, 2]), 3, -1).tolist() == [[-1, -1, -1], [5, 6, -1]]


@pytest.mark.parametrize("dense", [0, 100], ids=["searched", "looked up"])
def test_ids_become_indices(dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsys.data.tables.tensors.DENSE", dense)
    ids = distinct_ids(pl.LazyFrame({"a": [30, 20, None, 30, -1]}), pl.col("a"))
    assert ids.to_list() == [-1, 20, 30]
    values = pl.Series([30, 21, 20, 40, None, -1, -2, 2**40], dtype=pl.Int64)
    assert RawIds(ids).indices(values).tolist() == [2, -1, 1, -1, -1, 0, -1, -1]
    assert RawIds(ids.head(0)).indices(pl.Series([30])).tolist() == [-1]
    names = RawIds(pl.Series(["a", "c"]))
    assert names.indices(pl.Series(["c", None, "b", "a", "d"])).tolist() == [1, -1, -1, 0, -1]


def test_many_ids_are_gathered_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsys.data.tables.tensors.ROWS_PER_READ", 7)
    monkeypatch.setattr("recsys.data.tables.tensors.HELD_IDS", 10)
    rows = pl.LazyFrame({"a": [(number * 37) % 101 for number in range(500)]})
    assert distinct_ids(rows, pl.col("a")).to_list() == list(range(101))


@pytest.mark.parametrize("part", [1, 2, 100])
def test_repeats_are_found_however_many_keys_are_held_at_once(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsys.data.tables.row_checks.KEYS_PER_PASS", part)
    once = pl.LazyFrame({"a": [3, 1, 2, 3], "b": ["x", "x", "y", "y"]})
    assert not has_duplicates(once, ["a", "b"], 4) and has_duplicates(once, ["a"], 4) and has_duplicates(once, ["b"], 4)
    assert not has_duplicates(pl.LazyFrame({"a": [1, 2, 9]}), ["a"], 3)
