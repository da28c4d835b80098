"""A bounded buffer of what was collected, from which rows are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor

from recsys.ranges import at_least

Row = TypeVar("Row", bound="_Rows")


@runtime_checkable
class _Rows(Protocol):
    """A record whose rows are counted, selected and joined: a `Trajectory` (its rows are users) or a `Transition`."""

    def __len__(self) -> int: ...

    def select(self: Row, rows: Int[Tensor, " R"]) -> Row: ...

    def detach(self: Row) -> Row: ...

    def tensors(self) -> list[Tensor]: ...

    def with_tensors(self: Row, tensors: Sequence[Tensor]) -> Row: ...

    @classmethod
    def cat(cls: type[Row], records: Sequence[Row]) -> Row: ...


BLOCKS = 16
"""Rows are kept in about so many records, so that adding some copies a small part of all."""


class ReplayBuffer(Generic[Row]):
    """The latest `capacity` rows that were added: users of trajectories, or transitions.

    Needs memory for `capacity` rows and, while rows are added, for those and a sixteenth of the capacity more. A row of
    a trajectory takes what its `T` observations, slates and feedback take; `nbytes` tells what all take now.

    Args:
        capacity: rows at most, at least 1.

    Raises:
        ConfigurationError: the capacity is below 1.
    """

    def __init__(self, capacity: int) -> None:
        at_least(1, capacity=capacity)
        self.capacity = capacity
        self._blocks: list[Row] = []

    def __len__(self) -> int:
        return sum(len(block) for block in self._blocks)

    @property
    def nbytes(self) -> int:
        """Return how many bytes the rows take."""
        return sum(part.nbytes for block in self._blocks for part in block.tensors())

    def add(self, record: Row) -> None:
        """Take in rows, without gradient; the oldest make room.

        Args:
            record: of the class and with the fields of those before.

        Raises:
            ValueError: the record has other fields than those before.
        """
        record = record.detach()
        if self._blocks:
            nothing = torch.zeros(0, dtype=torch.int64, device=record.tensors()[0].device)
            type(record).cat([self._blocks[-1].select(nothing), record.select(nothing)])
        surplus = len(record) - self.capacity
        if surplus > 0:
            record = _rows_from(record, surplus)
        if self._blocks and len(self._blocks[-1]) + len(record) <= max(self.capacity // BLOCKS, 1):
            self._blocks[-1] = type(record).cat([self._blocks[-1], record])
        else:
            self._blocks.append(record)
        surplus = len(self) - self.capacity
        while surplus > 0 and surplus >= len(self._blocks[0]):
            surplus -= len(self._blocks.pop(0))
        if surplus > 0:
            self._blocks[0] = _rows_from(self._blocks[0], surplus)

    def select(self, rows: Int[Tensor, " R"]) -> Row:
        """Return the named rows, in the order named; a row may be named more than once.

        Args:
            rows: `[R]`, at least one, each in `0 .. len − 1`, the oldest first.
        """
        sizes = torch.tensor([len(block) for block in self._blocks], device=rows.device)
        ends = sizes.cumsum(0)
        block = torch.searchsorted(ends, rows, right=True)
        order = block.argsort(stable=True)
        place = (rows - (ends - sizes)[block])[order]
        counts = torch.bincount(block, minlength=len(sizes)).tolist()
        parts = [one.select(here) for one, here in zip(self._blocks, place.split(counts), strict=True) if here.numel()]
        joined = parts[0] if len(parts) == 1 else type(parts[0]).cat(parts)
        return joined.select(order.argsort())

    def sample(self, count: int, generator: torch.Generator) -> Row:
        """Return `count` different rows, all equally likely.

        Args:
            count: at least 1, at most as many as there are.
            generator: on the device of the rows.
        """
        return self.select(torch.randperm(len(self), generator=generator, device=generator.device)[:count])

    def state_dict(self) -> dict[str, Any]:
        """Return all rows as plain lists of tensors."""
        return {"blocks": [block.tensors() for block in self._blocks]}

    def load_state_dict(self, state: dict[str, Any], like: Row) -> None:
        """Hold the rows of another buffer.

        Args:
            state: of that buffer.
            like: a record with the same fields and any number of rows, which says what the tensors belong to and on
                which device they are kept.
        """
        device = like.tensors()[0].device
        self._blocks = [like.with_tensors([one.to(device) for one in tensors]) for tensors in state["blocks"]]


def _rows_from(record: Row, first: int) -> Row:
    """Return the rows from the named one on."""
    return record.select(torch.arange(first, len(record), device=record.tensors()[0].device))
