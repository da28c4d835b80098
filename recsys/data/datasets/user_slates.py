"""Padded batches of users with their slates, and a buffer of slates that grows while a policy learns online."""

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
    """A batch of `U` users, each with up to `T` slates of up to `S` items, oldest first and padded on the right.

    Args:
        slates: `[U, T, S]`, items of the slates, −1 at empty slots.
        click: `[U, T]`, clicked slot, −1 for no click.
        loss_mask: `[U, T]`, true for slates whose clicks count in the loss; the others are history only.
    """

    slates: Int[Tensor, "U T S"]
    click: Int[Tensor, "U T"]
    loss_mask: Bool[Tensor, "U T"]

    def __len__(self) -> int:
        return len(self.slates)


@dataclass(frozen=True)
class Exposure:
    """The number of times that training slates show each item, over one epoch.

    Args:
        occurrences: `[N]`, number of slots of counted slates that hold each item.
        impressions: number of counted slates.
    """

    occurrences: Int[Tensor, " N"]
    impressions: int

    @classmethod
    def from_log(cls, log: SlateLog, loss_mask: Bool[Tensor, " R"]) -> Exposure:
        """Return the exposure of items in those impressions of a log that the mask selects.

        Args:
            log: logged slates.
            loss_mask: `[R]`, true for impressions that are counted.
        """
        items = log.slates.select(loss_mask.nonzero().squeeze(1)).values
        return cls(torch.bincount(items, minlength=log.num_items), int(loss_mask.sum()))


class SlateBuffer:
    """A buffer of the slates and clicks of users `0 … U − 1`, oldest first. `U` and the number of slates grow.

    It takes memory for `U × T × (S + 1)` integers of 8 bytes, where `T` is the largest number of slates of a user, and
    up to three times as much while it grows.

    Args:
        num_items: number of items `N`.
        slots: the most items `S` of a slate.
        device: device of the buffer.
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
        """Copy the state of another buffer with the same numbers of slots and items."""
        device = self._lengths.device
        names = ("slates", "click", "lengths", "occurrences")
        self._slates, self._click, self._lengths, self._occurrences = (state[one].to(device).clone() for one in names)

    @property
    def exposure(self) -> Exposure:
        """Exposure of items in the slates so far."""
        return Exposure(self._occurrences, int(self._lengths.sum()))

    def add(self, users: Int[Tensor, " B"], items: Int[Tensor, "B S"], click: Int[Tensor, " B"]) -> None:
        """Append one slate for each of the given users. Slates without items are left out.

        Args:
            users: the users, each at most once.
            items: items of the slates, −1 at empty slots.
            click: clicked slots, −1 for no click.

        Raises:
            DataError: a user occurs twice.
        """
        if len(users.unique()) < len(users):
            raise DataError("a user occurs twice in one call, expected once: the two slates would have no order")
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
        """Return all slates of the given users; the loss mask selects all of them."""
        lengths = self._lengths[users]
        steps = int(lengths.max())
        loss_mask = torch.arange(steps, device=lengths.device) < lengths.unsqueeze(1)
        return UserSlates(self._slates[users, :steps], self._click[users, :steps], loss_mask)

    def num_batches(self, size: int) -> int:
        """Return the number of batches of an epoch."""
        return -(-int((self._lengths > 0).sum()) // size)

    def epoch(self, size: int, generator: torch.Generator) -> Iterator[UserSlates]:
        """Yield each user with at least one slate once, in random order.

        There is no batch before the first slate is added.

        Args:
            size: number of users of a batch, at least 1; the last batch may have fewer.
            generator: random generator on the device of the buffer.
        """
        known = self._lengths.nonzero().squeeze(1)
        order = torch.randperm(len(known), generator=generator, device=known.device)
        for start in range(0, len(known), size):
            yield self.select(known[order[start : start + size]])

    def _make_room(self, users: int) -> None:
        """Grow the buffer, by factors, to the given number of users and one more slate for each."""
        had, steps = self._click.shape
        full = steps == 0 or int(self._lengths.max()) == steps
        if users <= had and not full:
            return
        size = (max(users, had), max(8, 2 * steps) if full else steps)
        slates = self._slates.new_full((*size, self._slates.shape[2]), -1)
        click, lengths = self._click.new_full(size, -1), self._lengths.new_zeros(size[0])
        slates[:had, :steps], click[:had, :steps], lengths[:had] = self._slates, self._click, self._lengths
        self._slates, self._click, self._lengths = slates, click, lengths
