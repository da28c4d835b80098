"""Coordinate the processes that `torchrun` started: the first decides, the others are told."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from itertools import count
from typing import Any, Protocol, runtime_checkable

from recsys.errors import ConfigurationError

STORE_TIMEOUT = timedelta(days=1)


@runtime_checkable
class KeyValueStore(Protocol):
    """The part of `torch.distributed.Store` that is needed."""

    def set(self, key: str, value: str, /) -> None:
        """Leave a value."""
        ...

    def get(self, key: str, /) -> bytes:
        """Wait for a value."""
        ...


@dataclass(frozen=True)
class DistributedContext:
    """This process among those of the run.

    Args:
        rank: 0 for the first process.
        store: what the processes share; None where there is one process.
    """

    rank: int = 0
    store: KeyValueStore | None = None
    _turn: Iterator[int] = field(default_factory=count, repr=False, compare=False)

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def decide(self, make: Callable[[], Any]) -> Any:
        """Return in every process what `make` returns in the first; the others wait. The value must be plain (JSON).

        >>> DistributedContext().decide(lambda: 3)
        3
        """
        if self.store is None:
            return make()
        key = f"recsys/{next(self._turn)}"
        if self.first:
            self.store.set(key, json.dumps(make()))
        return json.loads(self.store.get(key))


@cache
def distributed_context() -> DistributedContext:
    """Return the process that this is, from the environment that `torchrun` sets.

    Raises:
        ConfigurationError: there are several processes that were not started by `torchrun`.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return DistributedContext()
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        raise ConfigurationError(
            "WORLD_SIZE is above 1, but this process was not started by torchrun; "
            "start it with `torchrun --nproc-per-node N -m recsys.cli.main train …`"
        )
    from torch.distributed.rendezvous import rendezvous

    store, rank, _ = next(iter(rendezvous("env://")))
    store.set_timeout(STORE_TIMEOUT)
    return DistributedContext(rank, store)
