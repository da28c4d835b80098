from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from recsys.data.parquet import ParquetTables
from recsys.data.split import LeaveOneOut
from recsys.items.balanced_kmeans import BalancedKMeans
from recsys.items.collisions import ExtraCode
from recsys.items.cooccurrence import PpmiSvd
from recsys.train.run_folder import RunFolder
from recsys.train.stages.prepare import Prepare
from recsys.train.stages.tokenize import Tokenize
from recsys.train.stages.training import Training
from tests.tables import write_tables

NETWORK = {
    "_target_": "recsys.models.causal_generator.CausalGenerator.from_bundle",
    "width": 8,
    "layers": 1,
    "max_length": 8,
}
SASREC = {**NETWORK, "_target_": "recsys.models.sasrec.SASRec.from_bundle"}
ADAM = {"_target_": "torch.optim.AdamW", "_partial_": True, "lr": 0.01}
NEXT_ITEM = {
    "_target_": "recsys.systems.next_item.NextItem",
    "objective": {"_target_": "recsys.objectives.next_item.legal_set_cross_entropy", "_partial_": True},
    "optimizer": ADAM,
}
LOADER = {"_target_": "recsys.data.loader.PackedLoader", "_partial_": True, "positions": 60, "max_length": 8}
TRAINER = {"_target_": "tests.fitting.configured_trainer", "_partial_": True}


def arm_of(**changes: Any) -> dict[str, Any]:
    """One epoch of next-item training; `None` takes a key away."""
    schedule = {"_target_": "recsys.train.fit.Schedule", "max_epochs": changes.pop("epochs", 1)}
    arm = {"network": NETWORK, "system": NEXT_ITEM, "loader": LOADER, "schedule": schedule, **changes}
    return {key: value for key, value in arm.items() if value is not None}


def configuration(arms: dict[str, Any]) -> DictConfig:
    """As a stage with `_recursive_: false` is given its arms."""
    return OmegaConf.create(arms)


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
        stage = Training(name, configuration(arms), OmegaConf.create(trainer or TRAINER), **more)
        stage.run(prepared)
        return prepared

    return run
