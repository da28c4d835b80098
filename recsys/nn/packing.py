"""Convert between packed rows, which lie one after the other, and rows padded to one length."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.types.jagged import Jagged


@dataclass(frozen=True)
class Packing:
    """The place of each of `ΣT` packed positions in a padded batch `[B, T]`.

    Args:
        where: `[ΣT]`, index of each packed position in the flattened batch.
        lengths: `[B]`, length of each row of the batch.
        length: length `T` of the longest row, at least 1.
        full: whether the packed positions are the flattened batch, without padding and in order.
        runs: number and length of each run of consecutive packed rows that have the same length. Empty rows are left
            out.
    """

    where: Int[Tensor, " total"]
    lengths: Int[Tensor, " B"]
    length: int
    full: bool
    runs: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, rows: Jagged, order: Int[Tensor, " B"]) -> Packing:
        """Return the packing of a batch's rows in the given order. Runs are longest if the order sorts by length.

        Args:
            rows: the rows of the batch.
            order: `[B]`, the rows in the order in which they are packed.

        >>> packing = Packing.of(Jagged.from_rows([[7, 8], [], [9]]), torch.tensor([2, 0, 1]))
        >>> packing.where, packing.runs
        (tensor([4, 0, 1]), ((1, 1), (1, 2)))
        """
        packed = rows.lengths[order]
        length = max(int(packed.max()), 1) if len(rows) else 1
        total = rows.values.shape[0]
        start = order * length - (packed.cumsum(0) - packed)
        where = start.repeat_interleave(packed, output_size=total) + torch.arange(total, device=order.device)
        lengths, counts = torch.unique_consecutive(packed, return_counts=True)
        runs = tuple((count, size) for count, size in zip(counts.tolist(), lengths.tolist(), strict=True) if size)
        full = runs == ((len(rows), length),) and bool((order.diff() == 1).all())
        return cls(where, rows.lengths, length, full, runs)

    def pad(self, values: Float[Tensor, "total W"]) -> Float[Tensor, "B T W"]:
        """Return packed values as a padded batch. The padding is 0."""
        shape = (self.lengths.numel(), self.length, values.shape[-1])
        if self.full:
            return values.view(shape)
        return values.new_zeros(shape[0] * shape[1], shape[2]).index_copy(0, self.where, values).view(shape)

    def mask(self) -> Bool[Tensor, "B T"]:
        """Return a mask of real positions. An empty row has its first position set, which keeps a softmax finite."""
        return torch.arange(self.length, device=self.where.device) < self.lengths.clamp(min=1).unsqueeze(1)
