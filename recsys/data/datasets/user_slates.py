"""Padded batches of users with all their slates, and a buffer of slates that grows while a policy learns online."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from recsys.data.datasets.slate_log import SlateLog
from recsys.errors import DataError
from recsys.types.record import TensorRecord


@dataclass(frozen=True)
class UserSlates(TensorRecord):
    """`U` users, each with up to `T` slates of up to `S` items, oldest first and flush left.

    Args:
        slates: `[U, T, S]`, items, −1 in empty slots.
        click: `[U, T]`, the slot clicked, −1 where none was.
        loss_mask: `[U, T]`, true where the slate is to be explained; the others only say where the user stood.
    """

    slates: Int[Tensor, "U T S"]
    click: Int[Tensor, "U T"]
    loss_mask: Bool[Tensor, "U T"]

    def __len__(self) -> int:
        return len(self.slates)


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
    def from_log(cls, log: SlateLog, loss_mask: Bool[Tensor, " R"]) -> Exposure:
        """Return the exposure of the impressions of a log that the mask names.

        Args:
            log: what was shown.
            loss_mask: `[R]`, true at the impressions that are explained.
        """
        items = log.slates.select(loss_mask.nonzero().squeeze(1)).values
        return cls(torch.bincount(items, minlength=log.num_items), int(loss_mask.sum()))


class SlateBuffer:
    """Every slate and answer of users `0 … U − 1`, oldest first; `U` and the number of slates grow.

    Needs memory for `U × T × (S + 1)` integers of 8 bytes, `T` the most slates that a user saw, and for three times as
    many at most while it grows.

    Args:
        num_items: `N`.
        slots: `S`, most items of a slate.
        device: where it is kept.
    """

    def __init__(self, num_items: int, slots: int, device: torch.device | str = "cpu") -> None:
        self._slates = torch.full((0, 0, slots), -1, device=device)
        self._click = torch.full((0, 0), -1, device=device)
        self._lengths = torch.zeros(0, dtype=torch.int64, device=device)
        self._occurrences = torch.zeros(num_items, dtype=torch.int64, device=device)

    def state_dict(self) -> dict[str, Tensor]:
        """Return all slates and answers."""
        return {
            "slates": self._slates,
            "click": self._click,
            "lengths": self._lengths,
            "occurrences": self._occurrences,
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Hold what another buffer of as many slots and items held; it goes on apart from that one."""
        device = self._lengths.device
        names = ("slates", "click", "lengths", "occurrences")
        self._slates, self._click, self._lengths, self._occurrences = (state[one].to(device).clone() for one in names)

    @property
    def exposure(self) -> Exposure:
        """How often the slates so far show each item, and how many they are."""
        return Exposure(self._occurrences, int(self._lengths.sum()))

    def add(self, users: Int[Tensor, " B"], items: Int[Tensor, "B S"], click: Int[Tensor, " B"]) -> None:
        """Take in a slate a user; one that shows nothing is left out.

        Args:
            users: each at most once.
            items: −1 in empty slots.
            click: the slot, −1 where nothing was clicked.

        Raises:
            DataError: a user is named twice.
        """
        if len(users.unique()) < len(users):
            raise DataError("users were answered twice at a time: their slates have no order")
        seen = (items >= 0).any(1)
        users, items, click = users[seen], items[seen], click[seen]
        if not len(users):
            return
        self._make_room(int(users.max()) + 1)
        step = self._lengths[users]
        self._slates[users, step, : items.shape[1]] = items
        self._click[users, step] = click
        self._lengths[users] += 1
        self._occurrences += torch.bincount(items[items >= 0], minlength=len(self._occurrences))

    def select(self, users: Int[Tensor, " B"]) -> UserSlates:
        """Return all slates of the named users; the loss mask holds all of them."""
        lengths = self._lengths[users]
        steps = int(lengths.max())
        loss_mask = torch.arange(steps, device=lengths.device) < lengths.unsqueeze(1)
        return UserSlates(self._slates[users, :steps], self._click[users, :steps], loss_mask)

    def num_batches(self, size: int) -> int:
        """Of an epoch."""
        return -(-int((self._lengths > 0).sum()) // size)

    def epoch(self, size: int, generator: torch.Generator) -> Iterator[UserSlates]:
        """Everybody who saw a slate once, in random order, `size` users a batch; the last may have fewer.

        No batch at all before the first slate.

        Args:
            size: at least 1.
            generator: on the device of the memory.
        """
        known = self._lengths.nonzero().squeeze(1)
        order = torch.randperm(len(known), generator=generator, device=known.device)
        for start in range(0, len(known), size):
            yield self.select(known[order[start : start + size]])

    def _make_room(self, users: int) -> None:
        """For the named number of users and one slate more each, in jumps."""
        had, steps = self._click.shape
        full = steps == 0 or int(self._lengths.max()) == steps
        if users <= had and not full:
            return
        size = (max(users, had), max(8, 2 * steps) if full else steps)
        slates = self._slates.new_full((*size, self._slates.shape[2]), -1)
        click, lengths = self._click.new_full(size, -1), self._lengths.new_zeros(size[0])
        slates[:had, :steps], click[:had, :steps], lengths[:had] = self._slates, self._click, self._lengths
        self._slates, self._click, self._lengths = slates, click, lengths
