"""The same batches every epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from recsys.data.context import Context


class Fixed:
    """Batches at hand as a loader. (A trainer takes a plain list for several loaders.)

    Args:
        batches: one epoch, in its order.
    """

    def __init__(self, batches: Sequence[Context]) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Context]:
        return iter(self._batches)
