"""A batch of users with all their slates, padded."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from recsys.data.slate_log import SlateLog


@dataclass(frozen=True)
class UserSlates:
    """`U` users, each with up to `T` slates of up to `S` items, oldest first and flush left.

    Args:
        slates: `[U, T, S]`, items, −1 in empty slots.
        click: `[U, T]`, the slot clicked, −1 where none was.
        counts: `[U, T]`, true where the slate is to be explained; the others only say where the user stood.
    """

    slates: Int[Tensor, "U T S"]
    click: Int[Tensor, "U T"]
    counts: Bool[Tensor, "U T"]

    def __len__(self) -> int:
        return len(self.slates)

    def to(self, device: torch.device | str) -> UserSlates:
        """The same users on another device."""
        return UserSlates(self.slates.to(device), self.click.to(device), self.counts.to(device))


@dataclass(frozen=True)
class Exposure:
    """How often training shows what, over all batches of an epoch.

    Args:
        occurrences: `[N]`, slots of counted slates that hold each item.
        impressions: counted slates.
    """

    occurrences: Int[Tensor, " N"]
    impressions: int

    @classmethod
    def of(cls, log: SlateLog, counts: Bool[Tensor, " R"]) -> Exposure:
        """Of the impressions that count."""
        items = log.slates.select(counts.nonzero().squeeze(1)).values
        return cls(torch.bincount(items, minlength=log.num_items), int(counts.sum()))
