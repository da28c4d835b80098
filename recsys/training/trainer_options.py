"""Which options of Lightning's trainer a configuration may set, and which a training sets itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from lightning.pytorch.accelerators import AcceleratorRegistry
from lightning.pytorch.callbacks import Callback, ProgressBar

from recsys.config.suggest import suggestion
from recsys.errors import ConfigurationError
from recsys.ranges import at_least
from recsys.training.terminal_progress import TerminalProgress

SCHEDULE = "the schedule says how long"
SET_BY_TRAININGS: Mapping[str, str] = {
    "accumulate_grad_batches": "set schedule.accumulate",
    "barebones": "a training needs its callbacks; leave the key out",
    "check_val_every_n_epoch": "set schedule.validate_every",
    "default_root_dir": "checkpoints lie in the run's folder; leave the key out",
    "enable_checkpointing": "a training chooses its weights and resumes from checkpoints; leave the key out",
    "fast_dev_run": "set debug=limit, or limit",
    "gradient_clip_val": "set schedule.gradient_clip",
    "limit_train_batches": "set limit",
    "limit_val_batches": "set limit",
    "max_epochs": "set schedule.max_epochs",
    "max_steps": "set schedule.max_steps",
    "max_time": f"{SCHEDULE}; set schedule.max_epochs or schedule.max_steps",
    "min_epochs": f"{SCHEDULE}; set schedule.patience",
    "min_steps": f"{SCHEDULE}; set schedule.patience",
    "num_sanity_val_steps": "the schedule says when to validate; leave the key out",
    "overfit_batches": "set debug=overfit, or overfit",
    "profiler": "set profiler of the stage",
    "val_check_interval": "set schedule.validate_every",
}
"""What to set instead of each option that a training sets itself."""


def check_trainer_options(options: Iterable[str]) -> None:
    """Refuse options that a training would override.

    Args:
        options: names of the options that a configuration sets.

    Raises:
        ConfigurationError: names the first such option, and what to set instead.

    >>> check_trainer_options(["devices", "logger", "callbacks"])
    """
    for name in options:
        if name in SET_BY_TRAININGS:
            raise ConfigurationError(f"trainer.{name}: every training sets it itself; {SET_BY_TRAININGS[name]}")


def check_devices(options: Mapping[str, Any]) -> None:
    """Refuse an accelerator that this machine lacks, and more devices than it has.

    Args:
        options: of the trainer, by name; only `accelerator`, `devices` and `num_nodes` are read.

    Raises:
        ConfigurationError: it names the option, its value and what there is.

    >>> check_devices({"accelerator": "cpu", "devices": 1})
    >>> check_devices({"devices": 0})
    Traceback (most recent call last):
    recsys.ranges.RangeError: trainer.devices=0: expected at least 1
    """
    accelerator, devices = options.get("accelerator", "auto"), options.get("devices", "auto")
    at_least(1, **{"trainer.num_nodes": options.get("num_nodes")})
    gpus = torch.cuda.device_count() or int(torch.backends.mps.is_available())
    if isinstance(accelerator, str):
        known = ["auto", "gpu", *AcceleratorRegistry.available_accelerators()]
        if accelerator not in known:
            raise ConfigurationError(f"trainer.accelerator={accelerator}: {suggestion(accelerator, known)}")
        if accelerator in ("gpu", "cuda") and not gpus:
            raise ConfigurationError(
                f"trainer.accelerator={accelerator}: this machine has no GPU that torch can use (`recsys doctor` says "
                "more); leave the key out, or write trainer.accelerator=cpu"
            )
    if isinstance(devices, int) and devices != -1:
        at_least(1, **{"trainer.devices": devices})
        there = gpus if gpus and accelerator != "cpu" else os.cpu_count() or 1
        if accelerator in ("auto", "cpu", "gpu", "cuda") and devices > there:
            kind = "GPUs" if gpus and accelerator != "cpu" else "processors"
            raise ConfigurationError(f"trainer.devices={devices}: expected at most {there}, the {kind} of this machine")


def user_options(trainer: Callable[..., Any]) -> dict[str, Any]:
    """Return the options that were bound to a function that makes trainers, as a configuration binds them.

    Args:
        trainer: a `functools.partial`; of any other function nothing is known.

    Raises:
        ConfigurationError: one is an option that a training sets itself.
    """
    bound = dict(trainer.keywords) if isinstance(trainer, partial) else {}
    check_trainer_options(bound)
    check_devices(bound)
    return bound


def joined_callbacks(own: list[Callback], bound: Mapping[str, Any]) -> list[Callback]:
    """Return a training's callbacks and, behind them, those that were bound to the trainer.

    A progress bar is among them unless the bound options bring another or turn it off.

    Args:
        own: the training's.
        bound: options that were bound to the trainer.
    """
    given = bound.get("callbacks") or []
    theirs = [given] if isinstance(given, Callback) else list(given)
    quiet = bound.get("enable_progress_bar") is False or any(isinstance(one, ProgressBar) for one in theirs)
    return [*own, *([] if quiet else [TerminalProgress()]), *theirs]
