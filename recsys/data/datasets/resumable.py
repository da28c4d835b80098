"""The base of loaders that can be resumed after any batch of an epoch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

from recsys.errors import ConfigurationError

Part = TypeVar("Part")
Batch = TypeVar("Batch")


class ResumableLoader(ABC, Generic[Part, Batch]):
    """A loader whose order depends on a seed and the epoch only, and which can be resumed after any batch.

    Iterating gives one epoch. A new loader over the same data that loads the `state_dict` of this one gives the rest of
    the epoch and the same epochs afterwards.

    Args:
        seed: seed of the order.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._epoch, self._batch, self._resumed = 0, 0, True

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of batches of an epoch."""

    @abstractmethod
    def _epoch_batches(self, epoch: int) -> Sequence[Part]:
        """Return a description of each batch of an epoch, in order, from which `_gather` makes the batch."""

    @abstractmethod
    def _gather(self, part: Part) -> Batch:
        """Return the batch of a description."""

    def __iter__(self) -> Iterator[Batch]:
        if not self._resumed:
            self._epoch, self._batch = self._epoch + 1, 0
        self._resumed = False
        parts = self._epoch_batches(self._epoch)
        for index in range(self._batch, len(parts)):
            self._batch = index + 1
            yield self._gather(parts[index])

    def state_dict(self) -> dict[str, Any]:
        """Return the position: the epoch, the number of batches given in it, and the seed."""
        return {"epoch": self._epoch, "batch": self._batch, "seed": self._seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Move to the position of another loader over the same data. The end of an epoch is the start of the next.

        Raises:
            ConfigurationError: the other loader has another seed.
        """
        if state["seed"] != self._seed:
            raise ConfigurationError(f"the loader's seed is {self._seed}, the saved position has seed {state['seed']}")
        self._epoch, self._batch = state["epoch"], state["batch"]
        self._resumed = self._batch < len(self)
