"""The base of loaders that can be resumed after any batch of an epoch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

from recsys.errors import ConfigurationError

Part = TypeVar("Part")
Batch = TypeVar("Batch")


class ResumableLoader(ABC, Generic[Part, Batch]):
    """Batches epoch by epoch, in an order that depends on a seed and the epoch alone.

    Iterating gives one epoch. `state_dict` after any batch, loaded into a new loader over the same data, gives the rest
    of that epoch and the same epochs after it.

    Args:
        seed: of the order.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._epoch, self._batch, self._resumed = 0, 0, True

    @abstractmethod
    def __len__(self) -> int:
        """Batches of an epoch."""

    @abstractmethod
    def _epoch_batches(self, epoch: int) -> Sequence[Part]:
        """What each batch of an epoch is made of, in order."""

    @abstractmethod
    def _gather(self, part: Part) -> Batch:
        """The batch itself."""

    def __iter__(self) -> Iterator[Batch]:
        if not self._resumed:
            self._epoch, self._batch = self._epoch + 1, 0
        self._resumed = False
        parts = self._epoch_batches(self._epoch)
        for index in range(self._batch, len(parts)):
            self._batch = index + 1
            yield self._gather(parts[index])

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands: epoch, batches given out in it, and the seed of their order."""
        return {"epoch": self._epoch, "batch": self._batch, "seed": self._seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Stand where another loader over the same data stood; at the end of an epoch that is the start of the next.

        Raises:
            ConfigurationError: when the order there had another seed.
        """
        if state["seed"] != self._seed:
            raise ConfigurationError(f"the loader's seed is {self._seed}, the saved position has seed {state['seed']}")
        self._epoch, self._batch = state["epoch"], state["batch"]
        self._resumed = self._batch < len(self)
