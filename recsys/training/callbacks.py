"""Lightning callbacks that record metrics and keep what an exact resume needs."""

from __future__ import annotations

from typing import Any

import lightning
import polars as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping


class MetricHistory(Callback):
    """Every logged scalar as rows of `step`, `metric`, `value`.

    The rows travel in the checkpoint, so that the curve of a resumed run has no gap and nothing twice.

    Args:
        every: optimizer steps between two rows of a training metric; the first step has one.
    """

    def __init__(self, every: int = 10) -> None:
        self.every = every
        self._latest = 0
        self.rows: list[tuple[int, str, float]] = []

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record the training metrics of this step, those of its last batch where gradients are accumulated."""
        step = trainer.global_step
        if step > self._latest and (step - 1) % self.every == 0:
            self._latest = step
            self._record(trainer, "train/")

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Record the validation metrics."""
        if not trainer.sanity_checking:
            self._record(trainer, "validation/")

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far."""
        return {"rows": list(self.rows), "latest": self._latest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the rows of a checkpoint."""
        self.rows = [tuple(row) for row in state_dict["rows"]]
        self._latest = state_dict["latest"]

    def table(self) -> pl.DataFrame:
        """Return the rows as columns `step`, `metric`, `value`."""
        schema = {"step": pl.Int64, "metric": pl.String, "value": pl.Float64}
        return pl.DataFrame(self.rows, schema=schema, orient="row")

    def _record(self, trainer: lightning.Trainer, prefix: str) -> None:
        values = trainer.callback_metrics.items()
        self.rows += [(trainer.global_step, name, float(value)) for name, value in values if name.startswith(prefix)]


class RandomStateCallback(Callback):
    """The states of torch's global generators (dropout draws from them) in the checkpoint, so that resuming is exact.

    Every process draws from a stream of its own, and finds it again in a checkpoint of as many processes.
    """

    def state_dict(self) -> dict[str, Any]:
        """Return the states now, one a process."""
        return {"processes": _from_all(_generators())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember the states; they are set when training goes on."""
        self._loaded = state_dict["processes"]

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Set the states of the checkpoint, after everything else that might draw has drawn."""
        loaded = getattr(self, "_loaded", [])
        if trainer.global_rank < len(loaded):
            own = loaded[trainer.global_rank]
            torch.set_rng_state(own["cpu"])
            if "cuda" in own and torch.cuda.is_available():
                torch.cuda.set_rng_state(own["cuda"])
        elif trainer.global_rank > 0:
            torch.manual_seed(torch.initial_seed() + trainer.global_rank)


def _generators() -> dict[str, torch.Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _from_all(own: dict[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    """Return what each process has, in the order of their ranks."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [own]
    every: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(every, own)
    return every


class PersistentEarlyStopping(EarlyStopping):
    """Early stopping that stays stopped: a training whose patience is over does not go on when it is resumed."""

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stop at once where the checkpoint says so."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class ValidateAtLeastOnce(Callback):
    """Validate at the last step of a training that would end before its first validation.

    Without a validation there is no checkpoint and no score. Trainings that validate on their way are left alone.
    """

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Bring the first validation forward to the last batch where it would come later."""
        epoch = trainer.fit_loop.max_batches
        first = min(epoch, trainer.val_check_batch or epoch)
        if trainer.check_val_every_n_epoch is None:
            first = trainer.val_check_batch or epoch
        last = _training_batches(trainer, epoch)
        if 0 < last < first and last != float("inf"):
            trainer.val_check_batch, trainer.check_val_every_n_epoch = int(last), None


def _training_batches(trainer: lightning.Trainer, epoch: float) -> float:
    """How many batches the whole training has, given those of an epoch."""
    whole = epoch * trainer.max_epochs if trainer.max_epochs is not None and trainer.max_epochs >= 0 else float("inf")
    if trainer.max_steps < 0:
        return whole
    accumulate = trainer.accumulate_grad_batches
    if epoch == float("inf"):
        return trainer.max_steps * accumulate
    full, rest = divmod(trainer.max_steps, -(-int(epoch) // accumulate))
    return min(whole, full * epoch + min(rest * accumulate, epoch))
