"""Trainings of the tiny data in a second, interrupted where a test says so."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ProgressBar

from recsys.data.datasets.loader import PackedLoader
from recsys.data.datasets.sequence_data import SequenceData
from recsys.systems.sequential import SequentialSystem
from recsys.training.fit import FitResult, Schedule, fit
from tests.tiny import tiny_dataset

LOADER = partial(PackedLoader, positions=40, max_length=8, seed=0)
"""Six batches an epoch."""
ADAM = partial(torch.optim.AdamW, lr=0.01)


class Interrupt(Callback):
    """Ctrl-C after so many batches."""

    def __init__(self, after: int) -> None:
        self.left = after

    def on_train_batch_end(self, *_: Any) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def quiet(*more: Callback, **options: Any) -> Callable[..., lightning.Trainer]:
    """A trainer on the CPU without a progress bar, with more callbacks and other options."""

    def make(callbacks: list[Callback], **given: Any) -> lightning.Trainer:
        heard = [one for one in callbacks if not isinstance(one, ProgressBar)]
        given = {"accelerator": "cpu", "enable_progress_bar": False, **given, **options}
        return lightning.Trainer(callbacks=[*heard, *more], **given)

    return make


def quick_fit(
    system: SequentialSystem,
    folder: Path,
    schedule: Schedule,
    *more: Callback,
    seed: int = 0,
    overfit: int | None = None,
    **options: Any,
) -> FitResult:
    """`fit` on the tiny data with every draw seeded."""
    torch.manual_seed(seed)
    given = {"trainer": quiet(*more), **options}
    data = SequenceData(tiny_dataset(repeats=system.repeats), LOADER)
    data.overfit = overfit
    return fit(system, data, schedule, folder, **given)


def interrupted_fit(system: SequentialSystem, folder: Path, schedule: Schedule, after: int) -> None:
    """The same, interrupted after so many batches."""
    try:
        quick_fit(system, folder, schedule, Interrupt(after))
    except SystemExit as error:
        assert isinstance(error.__context__, KeyboardInterrupt)
        return
    raise AssertionError("the training ended before it was interrupted")


def same_weights(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    """Bit for bit."""
    pairs = zip(first.state_dict().items(), second.state_dict().items(), strict=True)
    return all(name == other and torch.equal(value, twin) for (name, value), (other, twin) in pairs)


class Ctrl:
    """Where `configured_trainer` is interrupted: after so many batches of all trainings together; 0 is nowhere."""

    interrupt_after = 0


class CountingDown(Callback):
    """Ctrl-C when `Ctrl` says so."""

    def on_train_batch_end(self, *_: Any) -> None:
        Ctrl.interrupt_after -= 1
        if Ctrl.interrupt_after == 0:
            raise KeyboardInterrupt


def configured_trainer(**given: Any) -> lightning.Trainer:
    """What a configuration's `trainer` can name."""
    return quiet(CountingDown())(**given)
