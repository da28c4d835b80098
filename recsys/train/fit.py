"""One training from start to best weights, resumable at any step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import polars as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint, RichProgressBar
from safetensors.torch import save_file

from recsys.data.context import Context
from recsys.data.dataset import Dataset
from recsys.data.loader import PackedLoader, RequestLoader
from recsys.models.generator import PrefixGenerator
from recsys.systems.sequential import SequentialSystem
from recsys.train.callbacks import History, RandomState

MONITOR = "validation/ndcg@10"


@dataclass(frozen=True)
class Schedule:
    """How long to train and what to keep.

    Args:
        max_epochs: passes over the training sequences, at most.
        max_steps: optimizer steps at most; −1 for no limit but the epochs.
        validate_every: optimizer steps between validations; None validates once an epoch.
        patience: validations without improvement before training stops.
        ema: decay of the exponential moving average of the weights, in [0, 1); validation and result use the average.
        gradient_clip: largest norm of the gradient; 0 leaves it as it is.
        accumulate: batches whose gradients are summed before a step.
    """

    max_epochs: int = 45
    max_steps: int = -1
    validate_every: int | None = None
    patience: int = 8
    ema: float = 0.98
    gradient_clip: float = 1.0
    accumulate: int = 1


@dataclass(frozen=True)
class Fitted:
    """What a training left.

    Args:
        weights: the network's best weights, safetensors.
        history: rows of `step`, `metric`, `value`.
        validation: the best validation NDCG@10.
    """

    weights: Path
    history: pl.DataFrame
    validation: float


def fit(
    system: SequentialSystem,
    loader: Callable[[Context], PackedLoader],
    schedule: Schedule,
    dataset: Dataset,
    folder: Path,
    limit: int | None = None,
    trainer: Callable[..., lightning.Trainer] = lightning.Trainer,
) -> Fitted:
    """Train `system` on the data set's training sequences and keep the weights that validate best.

    Where `folder` holds a checkpoint of an interrupted training, training goes on from there.

    Args:
        system: what is trained; left with its best weights.
        loader: makes the loader of the training sequences.
        schedule: how long.
        dataset: supplies training sequences and validation requests.
        folder: checkpoints and weights are written here.
        limit: batches an epoch, and epochs, at most (dry runs); None for no limit.
        trainer: makes the trainer: devices, precision, strategy.
    """
    best = ModelCheckpoint(folder, "best", monitor=MONITOR, mode="max", save_last=True, enable_version_counter=False)
    history = History()
    last = folder / "last.ckpt"
    run = trainer(
        max_epochs=schedule.max_epochs if limit is None else min(limit, schedule.max_epochs),
        max_steps=schedule.max_steps,
        limit_train_batches=limit,
        limit_val_batches=limit,
        val_check_interval=schedule.validate_every if limit is None else None,
        check_val_every_n_epoch=None if schedule.validate_every is not None and limit is None else 1,
        accumulate_grad_batches=schedule.accumulate,
        gradient_clip_val=schedule.gradient_clip or None,
        num_sanity_val_steps=0,
        logger=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=[
            EMAWeightAveraging(decay=schedule.ema, use_buffers=False),
            history,
            best,
            EarlyStopping(MONITOR, patience=schedule.patience, mode="max"),
            RandomState(),
            RichProgressBar(leave=False),
        ],
    )
    run.fit(
        system,
        loader(dataset.train),
        RequestLoader(dataset.validation, batch_size=512),
        ckpt_path=last if last.exists() else None,
        weights_only=True,
    )
    weights = save_weights(system.network, best.best_model_path, folder / "network.safetensors")
    frame = pl.DataFrame(
        history.rows, schema={"step": pl.Int64, "metric": pl.String, "value": pl.Float64}, orient="row"
    )
    score = best.best_model_score
    return Fitted(weights, frame, float(score) if score is not None else float("nan"))


def save_weights(network: PrefixGenerator[Any, Any], checkpoint: str, path: Path) -> Path:
    """Load the network's weights from a checkpoint and write them alone; returns `path`."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    prefix = "network."
    own = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
    network.load_state_dict(own)
    aside = path.with_suffix(".partial")
    save_file({name: value.contiguous() for name, value in own.items()}, aside)
    aside.replace(path)
    return path
