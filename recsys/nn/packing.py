"""Between rows that lie one after the other and rows padded to one length."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.data.jagged import Jagged


@dataclass(frozen=True)
class Packing:
    """Where each of `ΣT` positions stands in a padded batch `[B, T]`.

    Args:
        where: `[ΣT]`, index into the flattened batch.
        lengths: `[B]`.
        length: `T`, the longest row, at least 1.
        full: no row has padding.
    """

    where: Int[Tensor, " total"]
    lengths: Int[Tensor, " B"]
    length: int
    full: bool

    @classmethod
    def of(cls, rows: Jagged) -> Packing:
        """The packing of jagged rows.

        >>> Packing.of(Jagged.from_rows([[7, 8], [], [9]])).where
        tensor([0, 1, 4])
        """
        lengths = rows.lengths
        length = max(int(lengths.max()), 1) if len(rows) else 1
        where = rows.row_ids() * length + rows.positions()
        return cls(where, lengths, length, where.numel() == len(rows) * length)

    def pad(self, values: Float[Tensor, "total W"]) -> Float[Tensor, "B T W"]:
        """The padded batch, zeros in the padding."""
        shape = (self.lengths.numel(), self.length, values.shape[-1])
        if self.full:
            return values.view(shape)
        return values.new_zeros(shape[0] * shape[1], shape[2]).index_copy(0, self.where, values).view(shape)

    def unpad(self, padded: Float[Tensor, "B T W"]) -> Float[Tensor, "total W"]:
        """The values of a padded batch, the padding left out."""
        flat = padded.flatten(0, 1)
        return flat if self.full else flat.index_select(0, self.where)

    def mask(self) -> Bool[Tensor, "B T"]:
        """True at the positions of each row; at the first of an empty row too, so that a softmax stays finite."""
        return torch.arange(self.length, device=self.where.device) < self.lengths.clamp(min=1).unsqueeze(1)
