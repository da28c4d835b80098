"""The same batch several times in a row, for several optimizer steps on what was drawn once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from recsys.data.context import Context
from recsys.data.loader import PackedLoader
from recsys.errors import ConfigurationError


class Repeated:
    """Every batch of a loader `times` times in a row, resumable between any two of them.

    Args:
        loader: whose batches.
        times: how often each comes, at least 1.
    """

    def __init__(self, loader: PackedLoader, times: int) -> None:
        if times < 1:
            raise ConfigurationError(f"times={times}: a batch comes at least once")
        self._loader, self._times = loader, times
        self._before, self._given, self._skip = loader.state_dict(), 0, 0

    def __len__(self) -> int:
        return len(self._loader) * self._times

    def __iter__(self) -> Iterator[Context]:
        batches = iter(self._loader)
        while True:
            self._before = self._loader.state_dict()
            batch = next(batches, None)
            if batch is None:
                return
            for index in range(self._skip, self._times):
                self._given = index + 1
                yield batch
            self._skip = 0

    def state_dict(self) -> dict[str, Any]:
        """The loader's position before the current batch, and how often that batch was given; 0 for one to come."""
        if self._given == self._times:
            return {"loader": self._loader.state_dict(), "given": 0}
        return {"loader": self._before, "given": self._given}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Stand where another loader stood."""
        self._loader.load_state_dict(state["loader"])
        self._given = self._skip = state["given"]
        self._before = state["loader"]
