from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from recsys.data.datasets.preparation import SequencePreparation
from recsys.data.datasets.split import LeaveOneOut
from recsys.data.sources.parquet import ParquetTables
from recsys.items.balanced_kmeans import BalancedKMeans
from recsys.items.collisions import ExtraCode
from recsys.items.cooccurrence import PpmiSvd
from recsys.runs.prepare import Prepare
from recsys.runs.run_folder import RunFolder
from recsys.runs.tokenize import Tokenize
from recsys.training.train_stage import Train
from tests.tables import write_tables
from tests.training.trainings import TRAINER

FAKES = str(Path(__file__).parent / "fakes")
if FAKES not in sys.path:
    sys.path.append(FAKES)


@pytest.fixture
def chain(tmp_path: Path) -> DictConfig:
    """Four stages in a row: prepare, sft, rl, evaluate."""
    return OmegaConf.create(
        {
            "name": "chain",
            "stages": ["prepare", "sft", "rl", "evaluate"],
            "seed": 0,
            "root": str(tmp_path / "runs"),
            "run": None,
            "resume": False,
            "reward": {"_target_": "fake_stages.Reward", "kind": "rule"},
            "stage": {
                "prepare": {"_target_": "fake_stages.Write", "name": "prepare", "text": "data"},
                "sft": {
                    "_target_": "fake_stages.Write",
                    "name": "sft",
                    "after": ["prepare"],
                    "text": "sft",
                    "seed": "${seed}",
                },
                "rl": {"_target_": "fake_stages.Write", "name": "rl", "after": ["sft"], "reward": "${reward}"},
                "evaluate": {"_target_": "fake_stages.Evaluate", "after": ["sft", "rl"]},
            },
        }
    )


@pytest.fixture
def prepared(tmp_path: Path) -> RunFolder:
    """A run after its first two stages."""
    run = RunFolder(tmp_path / "run")
    tables = ParquetTables(write_tables(tmp_path / "tables"))
    Prepare(SequencePreparation(tables, LeaveOneOut(), k_core=0, root=str(tmp_path / "data"))).run(run)
    Tokenize(PpmiSvd(dimensions=6), BalancedKMeans(levels=1, codes=4), ExtraCode()).run(run)
    return run


@pytest.fixture
def train(prepared: RunFolder) -> Callable[..., RunFolder]:
    """Makes trainings in the prepared run."""

    def run(trainings: dict[str, Any], trainer: dict[str, Any] | None = None, **more: Any) -> RunFolder:
        Train(OmegaConf.create(trainings), OmegaConf.create(trainer or TRAINER), **more).run(prepared)
        return prepared

    return run
