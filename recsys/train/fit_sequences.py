"""Training on sequences of items, validated by what comes next."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from recsys.data.context import Context
from recsys.data.dataset import Dataset
from recsys.data.fixed import Fixed
from recsys.data.loader import PackedLoader, RequestLoader
from recsys.data.prefixes import prefixes
from recsys.data.repeat import Repeated
from recsys.systems.sequential import SequentialSystem
from recsys.train.fit import Fitted, Schedule, fit

MONITOR = "validation/ndcg@10"
AGAIN = 20
"""How often an epoch of `overfit` goes through its batches."""


def fit_sequences(
    system: SequentialSystem,
    loader: Callable[..., PackedLoader],
    schedule: Schedule,
    dataset: Dataset,
    folder: Path,
    overfit: int | None = None,
    **more: Any,
) -> Fitted:
    """`fit` on the data set's training sequences; validation NDCG@10 decides.

    Args:
        system: what is trained.
        loader: makes the loader of the training sequences, given their context, `rank` and `world_size`.
        schedule: how long.
        dataset: supplies training sequences and validation requests.
        folder: see `fit`.
        overfit: only so many batches are trained on, again and again, and validated on; None trains on all.
        more: see `fit`.
    """
    batches = partial(_batches, system, loader, dataset, overfit)
    return fit(system, batches, MONITOR, schedule, folder, **more)


def _batches(
    system: SequentialSystem,
    loader: Callable[..., PackedLoader],
    dataset: Dataset,
    overfit: int | None,
    rank: int,
    world_size: int,
) -> tuple[Iterable[Context], Iterable[Context]]:
    """Training and validation batches, each training batch so often in a row as the system steps on it."""
    packed = loader(dataset.train, rank=rank, world_size=world_size)
    if overfit is not None:
        few = list(islice(packed, overfit))
        training = [batch for batch in few * AGAIN for _ in range(system.inner_steps)]
        return Fixed(training), Fixed([prefixes(batch, system.repeats) for batch in few])
    training = packed if system.inner_steps == 1 else Repeated(packed, system.inner_steps)
    return training, RequestLoader(dataset.validation, batch_size=512)
