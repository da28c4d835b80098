"""What users were shown and clicked so far, while it is still going on."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Int
from torch import Tensor

from recsys.data.user_slates import Exposure, UserSlates
from recsys.errors import DataError


class SlateMemory:
    """Every slate and answer of users `0 … U − 1`, oldest first; `U` and the number of slates grow.

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

    def of(self, users: Int[Tensor, " B"]) -> UserSlates:
        """All slates of the named users; all count."""
        lengths = self._lengths[users]
        steps = int(lengths.max())
        counts = torch.arange(steps, device=lengths.device) < lengths.unsqueeze(1)
        return UserSlates(self._slates[users, :steps], self._click[users, :steps], counts)

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
            yield self.of(known[order[start : start + size]])

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
