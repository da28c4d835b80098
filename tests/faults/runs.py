"""A small run that a command makes in seconds, and what lies in its folder."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from recsys.cli.main import main
from tests.fitting import quiet
from tests.tables import write_tables

OTHERS = ("sasrec", "sft_continued", "rere", "rere_lambda")


def arguments(folder: Path, *overrides: str) -> list[str]:
    """`recsys train` on small tables, with one training."""
    return [
        *("train", "experiment=rere/parquet", f"dataset.root={folder / 'tables'}", f"root={folder / 'runs'}"),
        *(f"+data.root={folder / 'data'}", "data.k_core=0", "clusters=4", "max_length=8", "debug=limit"),
        *("+trainer.number=0", "+trainer.validation=false", "trainer._target_=tests.faults.runs.signalled_trainer"),
        *("network.width=8", "network.layers=1", *(f"~train.{name}" for name in OTHERS)),
        *(
            "evaluation.references=[sft]",
            "stages=[prepare,tokenize,train,evaluate,report]",
            f"run={folder / 'run'}",
            *overrides,
        ),
    ]


def made(folder: Path, *overrides: str) -> Path:
    """Make the run; its folder."""
    if not (folder / "tables").exists():
        write_tables(folder / "tables")
    assert main(arguments(folder, *overrides)) == 0
    return folder / "run"


def copied(run: Path, folder: Path) -> Path:
    """A copy of a run, in another folder."""
    return Path(shutil.copytree(run, folder / "copy"))


def contents(folder: Path) -> dict[str, str]:
    """The digest of every file below a folder, by its path."""
    return {
        str(one.relative_to(folder)): hashlib.sha256(one.read_bytes()).hexdigest()
        for one in sorted(folder.rglob("*"))
        if one.is_file()
    }


class Signal(Callback):
    """Sends itself a signal at the end of the second batch, or of a validation."""

    def __init__(self, number: int, validation: bool) -> None:
        self.number = number
        self.validation = validation
        self.batches = 0

    def on_train_batch_end(self, *_: Any) -> None:
        self.batches += 1
        if self.batches == 2 and not self.validation:
            os.kill(os.getpid(), self.number)

    def on_validation_end(self, *_: Any) -> None:
        if self.validation:
            os.kill(os.getpid(), self.number)


def signalled_trainer(number: int = 0, validation: bool = False, **given: Any) -> lightning.Trainer:
    """What a configuration's `trainer` can name."""
    return quiet(*([Signal(number, validation)] if number else []))(**given)
