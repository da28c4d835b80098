"""Checkpoints of a training: written whole, found again where the folder was moved, checked before they are used."""

from __future__ import annotations

import logging
import os
import zipfile
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from typing_extensions import override

from recsys.atomic import whole_file
from recsys.errors import RequestError

LAST, BEFORE, BEST = "last.ckpt", "before_last.ckpt", "best.ckpt"

PATHS = ("best_model_path", "kth_best_model_path", "last_model_path")
"""Where Lightning's callback keeps paths."""

log = logging.getLogger(__name__)


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place, flushes it and renames it; the last one before stays as `before_last.ckpt`.

    Lightning writes to the system's temporary folder and moves the file from there, which copies it where that is
    another file system: a full disk or a kill leaves half a checkpoint.
    """

    @override
    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as aside:
            torch.save(checkpoint, aside)
            if path.name == LAST and path.exists():
                _keep(path, path.with_name(BEFORE))


class FolderCheckpoint(ModelCheckpoint):
    """Keeps names of files relative to its folder, so that a folder that was moved or copied goes on with its own.

    One file, written anew behind each validation, or behind the best so far of what is monitored. Not at the end of an
    epoch: the trainer takes a finished epoch for a new start and forgets the loader's position.
    """

    @override
    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = WholeCheckpointIO()

    @override
    def state_dict(self) -> dict[str, Any]:
        """Return the state with the names of the files in place of their paths."""
        state = super().state_dict()
        kept = {_name(path): score for path, score in state["best_k_models"].items()}
        return {**state, **{key: _name(state[key]) for key in PATHS}, "dirpath": "", "best_k_models": kept}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the files of this folder, whichever folder they were written in."""
        kept = {self._here(path): score for path, score in state_dict["best_k_models"].items()}
        paths = {key: self._here(state_dict[key]) for key in PATHS}
        super().load_state_dict({**state_dict, **paths, "dirpath": self.dirpath, "best_k_models": kept})

    def _here(self, path: str) -> str:
        return os.path.join(str(self.dirpath), _name(path)) if path else ""


def checkpoint_to_resume(folder: Path) -> Path | None:
    """Return the checkpoint that a training goes on from: the last that is whole, with a warning where that is an
    earlier one; None where the training begins anew.

    A training whose best weights are gone or damaged cannot be gone on with: it begins anew, with a warning.
    """
    last, before, best = (folder / name for name in (LAST, BEFORE, BEST))
    if not (last.exists() or before.exists()):
        return None
    if not is_whole_checkpoint(best):
        log.warning("%s is %s: the training begins anew", best, "damaged" if best.exists() else "gone")
        return _anew(last, before)
    if is_whole_checkpoint(last):
        return last
    told = "damaged" if last.exists() else "gone"
    if is_whole_checkpoint(before):
        log.warning("%s is %s: the training goes on from the checkpoint before it, %s", last, told, before)
        return before
    log.warning("%s is %s, and so is %s: the training begins anew", last, told, before)
    return _anew(last, before)


def is_whole_checkpoint(path: Path) -> bool:
    """Return whether every record of a file of `torch.save` is there with the checksum that was written with it.

    A sharded checkpoint is a folder; whether it is whole is known when it is loaded.
    """
    if path.is_dir():
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, ValueError, zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError):
        return False


def check_checkpoint(path: Path) -> None:
    """Refuse a checkpoint that is gone or damaged.

    Raises:
        RequestError: it is.
    """
    if not is_whole_checkpoint(path):
        raise RequestError(f"{path} is {'damaged' if path.exists() else 'gone'}: run the same command again")


def _anew(*checkpoints: Path) -> None:
    """Take away checkpoints that nothing goes on from, so that none of them is taken for one of the new start."""
    for one in checkpoints:
        if not one.is_dir():
            one.unlink(missing_ok=True)


def _name(path: str) -> str:
    return Path(path).name if path else ""


def _keep(path: Path, earlier: Path) -> None:
    """Keep a file under another name too, without copying it."""
    if path.is_dir():
        return
    twin = earlier.with_name(f"{earlier.name}.{os.getpid()}.aside")
    twin.unlink(missing_ok=True)
    os.link(path, twin)
    os.replace(twin, earlier)
