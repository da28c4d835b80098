"""The same batches every epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

Batch = TypeVar("Batch")


class Fixed(Generic[Batch]):
    """Batches at hand as a loader. (A trainer takes a plain list for several loaders.)

    Args:
        batches: one epoch, in its order.
    """

    def __init__(self, batches: Sequence[Batch]) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._batches)
