"""Loaders of packed sequences and of examples; repeated and listed batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from typing_extensions import override

from recsys.data.datasets.resumable import ResumableLoader
from recsys.ranges import at_least, is_seed
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.jagged import Jagged


class PackedLoader(ResumableLoader[np.ndarray, Context]):
    """A loader of batches of sequences with similar lengths and a bounded number of positions.

    The history of a user is cut, from its end, into windows of `max_length + 1` items. Neighbouring windows share one
    item, so every item except the user's first is a next item exactly once. Windows are sorted by length and cut into
    batches with `rows · longest ≤ positions`; the batches are shuffled. Windows of equal length are distributed anew
    each epoch. The order depends on the seed and the epoch only.

    Iterating gives one epoch. The loader can be resumed after any batch (`ResumableLoader`).

    Args:
        context: one row a user, oldest event first.
        positions: the most positions of a padded batch, rows times longest.
        max_length: the most items of a history. A window has up to one item more.
        seed: seed of the order.
        shuffle: whether batches are in random order; otherwise the longest windows come first, the same each epoch.
        drop_last: with several ranks, True leaves out the batches that cannot be divided equally among them, False
            repeats the first batches of the epoch instead.
        repeats: whether users may interact with an item again. If not, a window excludes the items before it.
        rank: index of this process, which takes the batches `rank`, `rank + world_size`, …
        world_size: number of processes.
    """

    def __init__(
        self,
        context: Context,
        positions: int = 2400,
        max_length: int = 100,
        seed: int = 0,
        *,
        shuffle: bool = True,
        drop_last: bool = False,
        repeats: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        is_seed(seed=seed)
        at_least(0, rank=rank)
        at_least(1, world_size=world_size)
        at_least(1, max_length=max_length)
        at_least(max_length + 1, positions=positions)  # one window fits
        super().__init__(seed)
        self._context, self._repeats = context, repeats
        self._shuffle, self._drop_last = shuffle, drop_last
        self._rank, self._world_size = rank, world_size
        self._windows = _windows(context.history, max_length)
        self._lengths = self._windows[-1]
        self._by_length = np.argsort(-self._lengths, kind="stable")
        self._bounds = _pack(self._lengths[self._by_length], positions)

    def __len__(self) -> int:
        batches = len(self._bounds) - 1
        return batches // self._world_size if self._drop_last else -(-batches // self._world_size)

    @override
    def _epoch_batches(self, epoch: int) -> list[np.ndarray]:
        order, batches = self._by_length, np.arange(len(self._bounds) - 1)
        if self._shuffle:
            random = np.random.default_rng([self._seed, epoch])
            shuffled = random.permutation(len(self._lengths))
            order = shuffled[np.argsort(-self._lengths[shuffled], kind="stable")]
            random.shuffle(batches)
        mine = np.resize(batches, len(self) * self._world_size)[self._rank :: self._world_size]
        return [order[self._bounds[batch] : self._bounds[batch + 1]] for batch in mine]

    @override
    def _gather(self, part: np.ndarray) -> Context:
        rows, starts, lengths = (torch.from_numpy(column[part]) for column in self._windows)
        context = self._context
        excluded = context.excluded.select(rows)
        if not self._repeats:
            excluded = excluded.append(context.history.head(rows, starts))
        nothing = Jagged.empty(len(context))
        asked = context.replace(history=nothing, excluded=nothing).select(rows)
        return asked.replace(history=context.history.slices(rows, starts, lengths), excluded=excluded)


@runtime_checkable
class Examples(Protocol):
    """Logged requests with their answers, of which some are looked up at a time: an `Example`, or `SlateExamples`."""

    def __len__(self) -> int: ...

    def select(self, rows: Int[Tensor, " B"]) -> Example:
        """Return the given examples, in their order."""
        ...


class ExampleLoader(ResumableLoader[Tensor, Example]):
    """A loader of batches of logged requests with their answers, each once an epoch.

    The order depends on the seed and the epoch only. Iterating gives one epoch. The loader can be resumed after any
    batch (`ResumableLoader`).

    Args:
        examples: the requests with their answers.
        batch_size: number of requests of a batch; the last batch may have fewer.
        max_length: histories are cut to this number of most recent items; None keeps them whole.
        seed: seed of the order.
        shuffle: whether the order is random, another one each epoch; otherwise it is that of `rows`.
        rows: `[R]`, the examples to load; None means all.
        rank: index of this process, which takes the batches `rank`, `rank + world_size`, …; the first batches of the
            epoch come again where they cannot be divided equally.
        world_size: number of processes.
    """

    def __init__(
        self,
        examples: Examples,
        batch_size: int = 256,
        max_length: int | None = None,
        seed: int = 0,
        *,
        shuffle: bool = True,
        rows: Int[Tensor, " R"] | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        at_least(1, batch_size=batch_size)
        super().__init__(seed)
        self._examples, self._batch_size, self._max_length = examples, batch_size, max_length
        self._rows = torch.arange(len(examples)) if rows is None else rows
        self._shuffle, self._rank, self._world_size = shuffle, rank, world_size

    def __len__(self) -> int:
        return -(-len(self._rows) // (self._batch_size * self._world_size))

    @override
    def _epoch_batches(self, epoch: int) -> list[Tensor]:
        rows = self._rows
        if self._shuffle:
            rows = rows[torch.from_numpy(np.random.default_rng([self._seed, epoch]).permutation(len(rows)))]
        batches = rows.split(self._batch_size) if len(rows) else ()
        wanted = range(self._rank, len(self) * self._world_size, self._world_size)
        return [batches[place % len(batches)] for place in wanted]

    @override
    def _gather(self, part: Tensor) -> Example:
        examples = self._examples.select(part)
        if self._max_length is None:
            return examples
        return examples.replace(context=examples.context.recent(self._max_length))


def _windows(history: Jagged, max_length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row, first position and length of every window of at least two items."""
    lengths = history.lengths.numpy()
    counts = -(-np.maximum(lengths - 1, 0) // max_length)
    rows = np.repeat(np.arange(len(lengths)), counts)
    nth_from_end = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
    ends = lengths[rows] - nth_from_end * max_length
    starts = np.maximum(ends - max_length - 1, 0)
    return rows, starts, ends - starts


def _pack(lengths: np.ndarray, positions: int) -> np.ndarray:
    """Return the bounds of batches over descending lengths, each with `rows · longest ≤ positions`."""
    bounds = [0]
    while bounds[-1] < len(lengths):
        bounds.append(min(bounds[-1] + positions // int(lengths[bounds[-1]]), len(lengths)))
    return np.array(bounds)


class RepeatBatches:
    """A loader that repeats every batch of another loader. It can be resumed after any repetition.

    Args:
        loader: the other loader.
        repetitions: number of times that each batch is given, at least 1.
    """

    def __init__(self, loader: PackedLoader, repetitions: int) -> None:
        at_least(1, repetitions=repetitions)
        self._loader, self._repetitions = loader, repetitions
        self._before, self._given, self._skip = loader.state_dict(), 0, 0

    def __len__(self) -> int:
        return len(self._loader) * self._repetitions

    def __iter__(self) -> Iterator[Context]:
        batches = iter(self._loader)
        while True:
            self._before = self._loader.state_dict()
            batch = next(batches, None)
            if batch is None:
                return
            for index in range(self._skip, self._repetitions):
                self._given = index + 1
                yield batch
            self._skip = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the other loader's position before the current batch, and the number of times it was given."""
        if self._given == self._repetitions:
            return {"loader": self._loader.state_dict(), "given": 0}
        return {"loader": self._before, "given": self._given}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Move to the position of another loader."""
        self._loader.load_state_dict(state["loader"])
        self._given = self._skip = state["given"]
        self._before = state["loader"]


ListBatch = TypeVar("ListBatch")


class ListLoader(Generic[ListBatch]):
    """A loader of a list of batches. Lightning would take the list itself for several loaders.

    Args:
        batches: the batches of an epoch, in order.
    """

    def __init__(self, batches: Sequence[ListBatch]) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[ListBatch]:
        return iter(self._batches)
