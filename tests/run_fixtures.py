from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from recsys.data.datasets.split import LeaveOneOut
from recsys.data.sources.parquet import ParquetTables
from recsys.items.balanced_kmeans import BalancedKMeans
from recsys.items.collisions import ExtraCode
from recsys.items.cooccurrence import PpmiSvd
from recsys.runs.prepare import Prepare
from recsys.runs.run_folder import RunFolder
from recsys.runs.tokenize import Tokenize
from recsys.training.sequence_training import SequenceTraining
from tests.tables import write_tables
from tests.training.arms import TRAINER, configuration

FAKES = str(Path(__file__).parent / "fakes")
if FAKES not in sys.path:
    sys.path.append(FAKES)


@pytest.fixture
def chain(tmp_path: Path) -> DictConfig:
    """Four stages: prepare, sft on it, rl on sft, evaluate on sft and rl."""
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
                    "inputs": ["prepare"],
                    "text": "sft",
                    "seed": "${seed}",
                },
                "rl": {"_target_": "fake_stages.Write", "name": "rl", "inputs": ["sft"], "reward": "${reward}"},
                "evaluate": {"_target_": "fake_stages.Evaluate", "inputs": ["sft", "rl"]},
            },
        }
    )


@pytest.fixture
def prepared(tmp_path: Path) -> RunFolder:
    """A run after its first two stages."""
    run = RunFolder(tmp_path / "run")
    tables = ParquetTables(write_tables(tmp_path / "tables"))
    Prepare(tables, LeaveOneOut(), k_core=0, root=str(tmp_path / "data")).run(run)
    Tokenize(PpmiSvd(dimensions=6), BalancedKMeans(levels=1, codes=4), ExtraCode()).run(run)
    return run


@pytest.fixture
def train(prepared: RunFolder) -> Callable[..., RunFolder]:
    """Trains arms in the stage `sft` of the prepared run."""

    def run(arms: dict[str, Any], name: str = "sft", trainer: dict[str, Any] | None = None, **more: Any) -> RunFolder:
        stage = SequenceTraining(name, configuration(arms), OmegaConf.create(trainer or TRAINER), **more)
        stage.run(prepared)
        return prepared

    return run
