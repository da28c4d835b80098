"""Fit one system from its start to its best weights, resumable at any step."""

from __future__ import annotations

import ctypes
import logging
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning
import polars as pl
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging
from lightning.pytorch.profilers import AdvancedProfiler, Profiler, SimpleProfiler

from recsys.atomic import write_text
from recsys.errors import ConfigurationError, NonFiniteError
from recsys.ranges import at_least, below_one
from recsys.systems.declaration import Declaration, declaration
from recsys.training.callbacks import (
    MetricHistory,
    PersistentEarlyStopping,
    RandomStateCallback,
    ValidateAtLeastOnce,
)
from recsys.training.checkpoints import FolderCheckpoint, check_checkpoint, checkpoint_to_resume
from recsys.training.finite import FiniteTraining, set_training_mode
from recsys.training.trainer_options import joined_callbacks, user_options

STOPPED_FILE = "stopped.txt"
"""Why a training stopped, beside its checkpoints, until it ends."""

log = logging.getLogger(__name__)

MMAP_MAX, TRIM_THRESHOLD = -4, -1
"""glibc's names for its options (mallopt)."""


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed blocks for the next step instead of returning them to the system.

    By default each tensor over 32 MiB, and often far smaller ones, is mapped anew and faulted in page by page at every
    step. A next-item step on MovieLens-100K takes a sixth less time so (docs/log.md, "Speed"). The process then holds
    its largest step's memory until it ends.

    Returns:
        Whether it was told: false where the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    return bool(library.mallopt(MMAP_MAX, 0) and library.mallopt(TRIM_THRESHOLD, 2**31 - 1))


@dataclass(frozen=True)
class Schedule:
    """How long to train and what to keep.

    Args:
        max_epochs: passes over the training data, at most; at least 1.
        max_steps: optimizer steps at most; −1 for no limit but the epochs.
        validate_every: optimizer steps between validations; None validates once an epoch.
        patience: validations without improvement before training stops, at least 1.
        ema: decay of the exponential moving average of the weights, in [0, 1); validation and result use the average.
        gradient_clip: largest norm of the gradient; 0 leaves it as it is.
        accumulate: batches whose gradients are averaged before a step.
        keep: the weights that training leaves: those that validated `best`, or the `last` that were validated. A
            posterior is at its best where its bound is, which forecasts can pass by (docs/log.md).

    Raises:
        ConfigurationError: a number is out of its range.
    """

    max_epochs: int = 45
    max_steps: int = -1
    validate_every: int | None = None
    patience: int = 8
    ema: float = 0.98
    gradient_clip: float = 1.0
    accumulate: int = 1
    keep: Literal["best", "last"] = "best"

    def __post_init__(self) -> None:
        at_least(1, max_epochs=self.max_epochs, patience=self.patience, accumulate=self.accumulate)
        at_least(0, gradient_clip=self.gradient_clip)
        below_one(ema=self.ema)
        if self.max_steps != -1:
            at_least(1, max_steps=self.max_steps)
        if self.validate_every is not None:
            at_least(1, validate_every=self.validate_every)


@dataclass(frozen=True)
class FitResult:
    """What a training left.

    Args:
        history: rows of `step`, `metric`, `value`.
        score: the system's validation metric for the weights that were kept.
    """

    history: pl.DataFrame
    score: float


def fit(
    system: lightning.LightningModule,
    data: lightning.LightningDataModule,
    schedule: Schedule,
    folder: Path,
    trainer: Callable[..., lightning.Trainer] = lightning.Trainer,
    limit: int | None = None,
    profiler: Literal["simple", "advanced"] | None = None,
) -> FitResult:
    """Train `system` on `data`; it is left with the weights that validate best, or with the last.

    Where `folder` holds a checkpoint of an interrupted training, training goes on from there, and leaves what it would
    have left uninterrupted. A training that ends before its first validation is validated at its end.

    The system trains in training mode, and is left in evaluation mode, so that its policy answers alike whenever it is
    asked. Parts in evaluation mode whose parameters are all frozen stay as they are.

    A loss, gradient or metric that is NaN or infinite, and everything else that is refused as a `NonFiniteError`, stops
    the training. The checkpoints stay those of the last validation and of the best; `stopped.txt` beside them keeps the
    reason, which is said again when the training is resumed.

    Args:
        system: what is trained; its class says which validation metric decides (`monitor`) and whether it is better
            when larger or smaller (`mode`).
        data: what it is trained and validated on, for instance `recsys.data.datasets.sequence_data.SequenceData`.
        schedule: how long.
        folder: gets `last.ckpt` and the one before it, `best.ckpt` and, with a profiler, `fit-profile.txt`; it may be
            moved.
        trainer: makes the trainer: devices, precision, strategy. A `logger` and `callbacks` that are bound to it
            (`functools.partial`) are used beside the training's own callbacks.
        limit: batches an epoch, batches a validation, and epochs, at most (dry runs); None for no limit.
        profiler: Lightning's profiler by name; None for none.

    Raises:
        ConfigurationError: the system's class does not declare its metric (`recsys.systems.declaration`); or an option
            is bound to the trainer that a training sets itself.
        NonFiniteError: a number is NaN or infinite; names the step and the part.
        RequestError: the weights to keep were damaged meanwhile.
    """
    declared = declaration(system)
    history, finite = MetricHistory(), FiniteTraining(declared.monitor)
    own = [
        finite,
        EMAWeightAveraging(decay=schedule.ema, use_buffers=False),
        history,
        *_stopping_and_keeping(declared, schedule, folder),
    ]
    run = _trainer(trainer, schedule, folder, own, limit, _profiler(profiler, folder))
    keep_freed_memory()
    _say_what_stopped_it(folder)
    set_training_mode(system)
    try:
        run.fit(system, datamodule=data, ckpt_path=checkpoint_to_resume(folder), weights_only=True)
    except NonFiniteError as error:
        raise NonFiniteError(_stopped(error, finite.place, folder, run.is_global_zero)) from error
    finally:
        system.eval()
    (folder / STOPPED_FILE).unlink(missing_ok=True)
    keep = folder / f"{schedule.keep}.ckpt"
    check_checkpoint(keep)
    system.load_state_dict(torch.load(keep, map_location="cpu", weights_only=True)["state_dict"])
    values = [value for _, metric, value in history.rows if metric == declared.monitor and math.isfinite(value)]
    kept = values[-1] if schedule.keep == "last" else (max if declared.mode == "max" else min)(values)
    return FitResult(history.table(), kept)


def _stopped(error: NonFiniteError, place: str | None, folder: Path, writes: bool) -> str:
    """Return what to tell of a training that stopped, and keep it beside the checkpoints."""
    kept = [name for name in ("best.ckpt", "last.ckpt") if (folder / name).exists()]
    left = (
        f"{' and '.join(kept)} in {folder} hold the weights that were validated before"
        if kept
        else (f"there is no checkpoint in {folder}, as nothing was validated before")
    )
    message = f"training stopped {place or 'before its first step'}: {error}. {left}"
    if writes:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / STOPPED_FILE, message + "\n")
    return message


def _say_what_stopped_it(folder: Path) -> None:
    """Warn of a training that goes on where an earlier attempt stopped: the same settings may stop it again."""
    file = folder / STOPPED_FILE
    if not file.exists():
        return
    goes_on = "it goes on from last.ckpt" if (folder / "last.ckpt").exists() else "it begins anew"
    log.warning("an earlier attempt ended so: %s. Now %s, with the same settings", file.read_text().strip(), goes_on)


def _stopping_and_keeping(declared: Declaration, schedule: Schedule, folder: Path) -> list[Callback]:
    """Return what ends the training, what it resumes from, and what it leaves."""
    monitor, mode, patience = declared.monitor, declared.mode, schedule.patience
    return [
        PersistentEarlyStopping(monitor, patience=patience, mode=mode, check_on_train_epoch_end=False),
        RandomStateCallback(),
        ValidateAtLeastOnce(),
        _checkpoint(folder, "best", monitor, mode),
        _checkpoint(folder, "last"),
    ]


def _trainer(
    make: Callable[..., lightning.Trainer],
    schedule: Schedule,
    folder: Path,
    own: list[Callback],
    limit: int | None,
    profiler: Profiler | None,
) -> lightning.Trainer:
    """Return the trainer, with the logger and callbacks that are bound to `make` beside the training's own.

    Raises:
        ConfigurationError: the machine lacks the device, or arguments contradict each other.
    """
    bound = user_options(make)
    try:
        return make(
            **_extent(schedule, limit),
            accumulate_grad_batches=schedule.accumulate,
            gradient_clip_val=schedule.gradient_clip or None,
            num_sanity_val_steps=0,
            logger=bound.get("logger", False),
            enable_model_summary=bound.get("enable_model_summary", False),
            default_root_dir=folder,
            profiler=profiler,
            callbacks=joined_callbacks(own, bound),
        )
    except MisconfigurationException as error:
        raise ConfigurationError(f"trainer: {error}") from error


def _checkpoint(
    folder: Path, name: str, monitor: str | None = None, mode: Literal["min", "max"] = "max"
) -> FolderCheckpoint:
    """Return what keeps one file, written behind each validation, or behind the best so far of what is monitored."""
    return FolderCheckpoint(
        folder, name, monitor=monitor, mode=mode, save_on_train_epoch_end=False, enable_version_counter=False
    )


def _extent(schedule: Schedule, limit: int | None) -> dict[str, Any]:
    """Return how long and how often, as the trainer's arguments; it counts batches where the schedule counts steps."""
    every = None if schedule.validate_every is None or limit is not None else schedule.validate_every
    return {
        "max_epochs": schedule.max_epochs if limit is None else min(limit, schedule.max_epochs),
        "max_steps": schedule.max_steps,
        "limit_train_batches": limit,
        "limit_val_batches": limit,
        "val_check_interval": None if every is None else every * schedule.accumulate,
        "check_val_every_n_epoch": 1 if every is None else None,
    }


def _profiler(name: Literal["simple", "advanced"] | None, folder: Path) -> Profiler | None:
    if name is None:
        return None
    return {"simple": SimpleProfiler, "advanced": AdvancedProfiler}[name](folder, "profile")
