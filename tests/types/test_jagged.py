from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.types.jagged import Jagged

ROW = st.lists(st.integers(0, 9), max_size=5)
ROWS = st.lists(ROW, max_size=6)


def to_rows(jagged: Jagged) -> list[list[int]]:
    bounds = jagged.offsets.tolist()
    return [jagged.values[start:end].tolist() for start, end in pairwise(bounds)]


@given(ROWS)
def test_rows_come_back(rows: list[list[int]]) -> None:
    jagged = Jagged.from_rows(rows)
    assert to_rows(jagged) == rows
    assert len(jagged) == len(rows)
    assert jagged.lengths.tolist() == [len(row) for row in rows]
    assert jagged.row_ids().tolist() == [index for index, row in enumerate(rows) for _ in row]
    assert jagged.positions().tolist() == [position for row in rows for position in range(len(row))]


@given(ROWS, st.data())
def test_select_head_and_slices_match_lists(rows: list[list[int]], data: st.DataObject) -> None:
    jagged = Jagged.from_rows(rows)
    picks = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=5)) if rows else []
    starts = [data.draw(st.integers(0, len(rows[pick]))) for pick in picks]
    lengths = [data.draw(st.integers(0, len(rows[pick]) - start)) for pick, start in zip(picks, starts, strict=True)]
    index, start, length = (torch.tensor(column, dtype=torch.int64) for column in (picks, starts, lengths))
    assert to_rows(jagged.select(index)) == [rows[pick] for pick in picks]
    assert to_rows(jagged.head(index, length)) == [rows[p][:n] for p, n in zip(picks, lengths, strict=True)]
    expected = [rows[p][s : s + n] for p, s, n in zip(picks, starts, lengths, strict=True)]
    assert to_rows(jagged.slices(index, start, length)) == expected


@given(st.lists(st.tuples(ROW, ROW), max_size=5))
def test_append_joins_row_by_row(pairs: list[tuple[list[int], list[int]]]) -> None:
    left, right = (Jagged.from_rows([pair[side] for pair in pairs]) for side in (0, 1))
    assert to_rows(left.append(right)) == [first + second for first, second in pairs]


@given(ROWS, st.integers(0, 6))
def test_last_keeps_the_end(rows: list[list[int]], count: int) -> None:
    assert to_rows(Jagged.from_rows(rows).last(count)) == [row[max(len(row) - count, 0) :] for row in rows]


@given(ROWS)
def test_padding_and_mask(rows: list[list[int]]) -> None:
    jagged = Jagged.from_rows(rows)
    width = max((len(row) for row in rows), default=0)
    assert jagged.to_padded(-1).tolist() == [row + [-1] * (width - len(row)) for row in rows]
    assert jagged.mask(10).tolist() == [[item in row for item in range(10)] for row in rows]


def test_padding_keeps_inner_dimensions() -> None:
    jagged = Jagged(torch.arange(6.0).reshape(3, 2), torch.tensor([0, 1, 3]))
    assert jagged.to_padded(0.0, length=3).shape == (2, 3, 2)
    assert jagged.select(torch.tensor([1])).values.tolist() == [[2.0, 3.0], [4.0, 5.0]]


def test_empty_has_rows_without_values() -> None:
    assert to_rows(Jagged.empty(2)) == [[], []]
    assert Jagged.empty(2).to_padded(0).shape == (2, 0)


def test_shapes_are_checked_at_run_time() -> None:
    with pytest.raises(Exception, match="offsets"):
        Jagged(torch.zeros(3), torch.zeros(2))
