"""Started by torchrun: a training whose batches are dealt out to the processes, then a whole run."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import torch
from omegaconf import OmegaConf

from recsys.data.datasets.loader import PackedLoader
from recsys.data.datasets.sequence_data import SequenceData
from recsys.objectives.likelihood import legal_set_cross_entropy
from recsys.runs.run import run_stages
from recsys.systems.supervised import SupervisedSystem
from recsys.training.fit import Schedule, fit
from tests.fitting import quiet
from tests.tiny import tiny_dataset, tiny_generator


def trained(folder: Path, accumulate: int, **options: object) -> SupervisedSystem:
    """Two epochs of plain gradient descent on the tiny data."""
    system = SupervisedSystem(tiny_generator(dropout=0.0), legal_set_cross_entropy, partial(torch.optim.SGD, lr=0.5))
    loader = partial(PackedLoader, positions=40, max_length=8, seed=0)
    schedule = Schedule(max_epochs=2, accumulate=accumulate)
    fit(system, SequenceData(tiny_dataset(), loader), schedule, folder, trainer=quiet(**options))
    return system


if __name__ == "__main__":
    here = Path(sys.argv[1])
    trained(here / "two", accumulate=1, devices=2, strategy="ddp")
    print("folder", run_stages(OmegaConf.load(here / "config.yaml")).folder)
