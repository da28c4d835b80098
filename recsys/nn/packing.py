"""Convert between packed rows and rows padded to one length."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.types.jagged import Jagged


@dataclass(frozen=True)
class Packing:
    """Where each of `ΣT` positions stands in a padded batch `[B, T]`.

    Args:
        where: `[ΣT]`, index into the flattened batch.
        lengths: `[B]`, of the batch's rows.
        length: `T`, the longest row, at least 1.
        full: the positions are the flattened batch.
        runs: neighbouring packed rows of one length: how many, and the length; rows without a position left out.
    """

    where: Int[Tensor, " total"]
    lengths: Int[Tensor, " B"]
    length: int
    full: bool
    runs: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, rows: Jagged, order: Int[Tensor, " B"]) -> Packing:
        """The packing of a batch's rows, one after the other in the order given; by length, runs are longest.

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
        """The padded batch, zeros in the padding."""
        shape = (self.lengths.numel(), self.length, values.shape[-1])
        if self.full:
            return values.view(shape)
        return values.new_zeros(shape[0] * shape[1], shape[2]).index_copy(0, self.where, values).view(shape)

    def mask(self) -> Bool[Tensor, "B T"]:
        """True at the positions of each row; at the first of an empty row too, so that a softmax stays finite."""
        return torch.arange(self.length, device=self.where.device) < self.lengths.clamp(min=1).unsqueeze(1)
