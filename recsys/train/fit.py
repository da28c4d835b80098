"""One training from start to best weights, resumable at any step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning
import polars as pl
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint, RichProgressBar
from lightning.pytorch.profilers import AdvancedProfiler, Profiler, SimpleProfiler

from recsys.train.allocator import keep_freed_memory
from recsys.train.callbacks import History, Patience, RandomState

Batches = Callable[[int, int], tuple[Iterable[Any], Iterable[Any]]]
"""Training and validation batches of a process, given its rank and how many processes there are."""


@dataclass(frozen=True)
class Schedule:
    """How long to train and what to keep.

    Args:
        max_epochs: passes over the training data, at most.
        max_steps: optimizer steps at most; −1 for no limit but the epochs.
        validate_every: optimizer steps between validations; None validates once an epoch.
        patience: validations without improvement before training stops.
        ema: decay of the exponential moving average of the weights, in [0, 1); validation and result use the average.
        gradient_clip: largest norm of the gradient; 0 leaves it as it is.
        accumulate: batches whose gradients are averaged before a step.
        keep: the weights that training leaves: those that validated `best`, or the `last` that were validated. A
            posterior is at its best where its bound is, which forecasts can pass by (docs/log.md).
    """

    max_epochs: int = 45
    max_steps: int = -1
    validate_every: int | None = None
    patience: int = 8
    ema: float = 0.98
    gradient_clip: float = 1.0
    accumulate: int = 1
    keep: Literal["best", "last"] = "best"


@dataclass(frozen=True)
class Fitted:
    """What a training left.

    Args:
        history: rows of `step`, `metric`, `value`.
        validation: the value of the metric that decides, of the weights that were kept.
    """

    history: pl.DataFrame
    validation: float


def fit(
    system: lightning.LightningModule,
    batches: Batches,
    monitor: str,
    schedule: Schedule,
    folder: Path,
    trainer: Callable[..., lightning.Trainer] = lightning.Trainer,
    limit: int | None = None,
    profiler: Literal["simple", "advanced"] | None = None,
) -> Fitted:
    """Train `system`; it is left with the weights that validate best, or with the last.

    Where `folder` holds a checkpoint of an interrupted training, training goes on from there, and leaves what it would
    have left uninterrupted.

    Args:
        system: what is trained.
        batches: makes what it is trained and validated on.
        monitor: the validation metric that decides; higher is better.
        schedule: how long.
        folder: gets `last.ckpt`, `best.ckpt` and, with a profiler, `fit-profile.txt`.
        trainer: makes the trainer: devices, precision, strategy.
        limit: batches an epoch, batches a validation, and epochs, at most (dry runs); None for no limit.
        profiler: Lightning's profiler by name; None for none.
    """
    best = _checkpoint(folder, "best", monitor)
    history = History()
    run = trainer(
        **_extent(schedule, limit),
        accumulate_grad_batches=schedule.accumulate,
        gradient_clip_val=schedule.gradient_clip or None,
        num_sanity_val_steps=0,
        logger=False,
        enable_model_summary=False,
        default_root_dir=folder,
        profiler=_profiler(profiler, folder),
        callbacks=[
            EMAWeightAveraging(decay=schedule.ema, use_buffers=False),
            history,
            Patience(monitor, patience=schedule.patience, mode="max", check_on_train_epoch_end=False),
            RandomState(),
            RichProgressBar(leave=False),
            best,
            _checkpoint(folder, "last"),
        ],
    )
    training, validation = batches(run.global_rank, run.world_size)
    last = folder / "last.ckpt"
    keep_freed_memory()
    run.fit(system, training, validation, ckpt_path=last if last.exists() else None, weights_only=True)
    keep = Path(best.best_model_path) if schedule.keep == "best" else last
    system.load_state_dict(torch.load(keep, map_location="cpu", weights_only=True)["state_dict"])
    frame = pl.DataFrame(
        history.rows, schema={"step": pl.Int64, "metric": pl.String, "value": pl.Float64}, orient="row"
    )
    values = [value for _, metric, value in history.rows if metric == monitor] or [float("nan")]
    return Fitted(frame, max(values) if schedule.keep == "best" else values[-1])


def _checkpoint(folder: Path, name: str, monitor: str | None = None) -> ModelCheckpoint:
    """One file, written anew behind each validation, or behind the best so far of what is monitored.

    Not at the end of an epoch: the trainer takes a finished epoch for a new start and forgets the loader's position.
    """
    return ModelCheckpoint(
        folder, name, monitor=monitor, mode="max", save_on_train_epoch_end=False, enable_version_counter=False
    )


def _extent(schedule: Schedule, limit: int | None) -> dict[str, Any]:
    """How long and how often, as the trainer's arguments; it counts batches where the schedule counts steps."""
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
