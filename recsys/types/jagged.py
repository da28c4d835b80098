"""Rows of different lengths in one flat tensor, as values and offsets, which is the layout of torchrec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor


@dataclass(frozen=True)
class Jagged:
    """`B` rows of different lengths, stored as flat values and offsets.

    Row `b` is `values[offsets[b]:offsets[b + 1]]`:

        rows      [[7, 8], [], [9]]
        values    [7, 8, 9]
        offsets   [0, 2, 2, 3]

    A `torchrec.JaggedTensor` can use the same two tensors without a copy.

    Args:
        values: `[ΣT, ...]`, the values of all rows, one row after the other.
        offsets: `[B + 1]`, int64, from 0 to `ΣT`, not decreasing.
    """

    values: Shaped[Tensor, "total *rest"]
    offsets: Int[Tensor, " rows_plus_one"]

    @classmethod
    def from_lengths(cls, values: Tensor, lengths: Int[Tensor, " B"]) -> Jagged:
        """Return rows from their values and lengths. The lengths sum to the number of values."""
        return cls(values, torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]))

    @classmethod
    def from_rows(cls, rows: Sequence[Sequence[int] | Tensor], dtype: torch.dtype = torch.int64) -> Jagged:
        """Return rows from a sequence of rows.

        >>> Jagged.from_rows([[7, 8], [], [9]]).offsets
        tensor([0, 2, 2, 3])
        """
        tensors = [torch.as_tensor(row, dtype=dtype) for row in rows]
        lengths = torch.tensor([len(row) for row in tensors], dtype=torch.int64)
        return cls.from_lengths(torch.cat(tensors) if tensors else torch.zeros(0, dtype=dtype), lengths)

    @classmethod
    def cat(cls, parts: Sequence[Jagged]) -> Jagged:
        """Return the rows of several `Jagged`s, one after the other.

        >>> Jagged.cat([Jagged.from_rows([[7, 8]]), Jagged.from_rows([[], [9]])]).to_padded(-1)
        tensor([[ 7,  8],
                [-1, -1],
                [ 9, -1]])
        """
        return cls.from_lengths(torch.cat([one.values for one in parts]), torch.cat([one.lengths for one in parts]))

    @classmethod
    def empty(cls, rows: int, device: torch.device | str = "cpu") -> Jagged:
        """Return `rows` empty rows (int64)."""
        zeros = torch.zeros(rows + 1, dtype=torch.int64, device=device)
        return cls(zeros[:0], zeros)

    def __len__(self) -> int:
        return self.offsets.numel() - 1

    @property
    def lengths(self) -> Int[Tensor, " B"]:
        """Length of each row, `[B]`."""
        return self.offsets.diff()

    def row_ids(self) -> Int[Tensor, " total"]:
        """Return the row of each value, `[ΣT]`."""
        rows = torch.arange(len(self), device=self.offsets.device)
        return rows.repeat_interleave(self.lengths, output_size=self.values.shape[0])

    def positions(self) -> Int[Tensor, " total"]:
        """Return the position of each value in its row, `[ΣT]`, from 0."""
        every = torch.arange(self.values.shape[0], device=self.offsets.device)
        return every - self.offsets[:-1].repeat_interleave(self.lengths, output_size=self.values.shape[0])

    def select(self, rows: Int[Tensor, " R"]) -> Jagged:
        """Return the given rows, in the given order. A row may occur several times.

        >>> Jagged.from_rows([[7, 8], [], [9]]).select(torch.tensor([2, 0])).values
        tensor([9, 7, 8])
        """
        return self.head(rows, self.lengths[rows])

    def head(self, rows: Int[Tensor, " R"], lengths: Int[Tensor, " R"]) -> Jagged:
        """Return the first `lengths[r]` values of row `rows[r]`. No length exceeds that of its row.

        >>> Jagged.from_rows([[7, 8], [], [9]]).head(torch.tensor([0, 0, 2]), torch.tensor([1, 2, 0])).to_padded(-1)
        tensor([[ 7, -1],
                [ 7,  8],
                [-1, -1]])
        """
        return self.slices(rows, torch.zeros_like(lengths), lengths)

    def slices(self, rows: Int[Tensor, " R"], starts: Int[Tensor, " R"], lengths: Int[Tensor, " R"]) -> Jagged:
        """Return `lengths[r]` values of row `rows[r]` from position `starts[r]` on, all inside the row.

        >>> Jagged.from_rows([[7, 8, 9]]).slices(torch.tensor([0]), torch.tensor([1]), torch.tensor([2])).values
        tensor([8, 9])
        """
        offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        total = int(offsets[-1])
        index = (self.offsets[rows] + starts - offsets[:-1]).repeat_interleave(lengths, output_size=total)
        index += torch.arange(total, device=index.device)
        return Jagged(self.values.index_select(0, index), offsets)

    def append(self, other: Jagged) -> Jagged:
        """Return rows that hold the values of this row and then those of the other. Both have the same number of rows.

        >>> Jagged.from_rows([[7], []]).append(Jagged.from_rows([[8], [9]])).values
        tensor([7, 8, 9])
        """
        offsets = self.offsets + other.offsets
        values = torch.cat([self.values, other.values])
        values[self.positions() + offsets[:-1].repeat_interleave(self.lengths)] = self.values
        start = offsets[:-1] + self.lengths
        values[other.positions() + start.repeat_interleave(other.lengths)] = other.values
        return Jagged(values, offsets)

    def last(self, count: int) -> Jagged:
        """Return the last `count` values of each row. Shorter rows are kept whole."""
        start = self.lengths.repeat_interleave(self.lengths, output_size=self.values.shape[0]) - count
        return Jagged.from_lengths(self.values[self.positions() >= start], self.lengths.clamp(max=count))

    def to_padded(self, fill: float, length: int | None = None) -> Shaped[Tensor, "B T *rest"]:
        """Return the rows as `[B, T, ...]`, padded on the right with `fill`. `T` is `length`, or else the longest row.

        >>> Jagged.from_rows([[7, 8], [], [9]]).to_padded(-1)
        tensor([[ 7,  8],
                [-1, -1],
                [ 9, -1]])
        """
        width = length if length is not None else int(self.lengths.max()) if len(self) else 0
        padded = self.values.new_full((len(self), width, *self.values.shape[1:]), fill)
        padded[self.row_ids(), self.positions()] = self.values
        return padded

    def latest(self, count: int, fill: float) -> Shaped[Tensor, "B count *rest"]:
        """Return the last `count` values of each row, the latest in the last column, `fill` before the first.

        >>> Jagged.from_rows([[7, 8], [], [9, 3, 4, 5]]).latest(3, -1)
        tensor([[-1,  7,  8],
                [-1, -1, -1],
                [ 3,  4,  5]])
        """
        last = self.last(count)
        padded = last.values.new_full((len(self), count, *last.values.shape[1:]), fill)
        start = (count - last.lengths).repeat_interleave(last.lengths, output_size=last.values.shape[0])
        padded[last.row_ids(), last.positions() + start] = last.values
        return padded

    def mask(self, columns: int) -> Bool[Tensor, "B columns"]:
        """Return `[B, columns]`, true at `(b, v)` if row `b` holds the value `v`, in `0 .. columns - 1`.

        >>> Jagged.from_rows([[0, 2], []]).mask(3)
        tensor([[ True, False,  True],
                [False, False, False]])
        """
        mask = torch.zeros(len(self), columns, dtype=torch.bool, device=self.values.device)
        mask[self.row_ids(), self.values] = True
        return mask

    def to(self, device: torch.device | str) -> Jagged:
        """Return the same rows on another device."""
        return Jagged(self.values.to(device), self.offsets.to(device))
