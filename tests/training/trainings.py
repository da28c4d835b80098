"""Small trainings, as configuration."""

from __future__ import annotations

from typing import Any

NETWORK = {
    "_target_": "recsys.models.generators.causal.CausalGenerator.from_bundle",
    "width": 8,
    "layers": 1,
    "max_length": 8,
}
SASREC = {**NETWORK, "_target_": "recsys.models.generators.sasrec.SASRec.from_bundle"}
ADAM = {"_target_": "torch.optim.AdamW", "_partial_": True, "lr": 0.01}
NEXT_ITEM = {
    "_target_": "recsys.systems.supervised.SupervisedSystem",
    "objective": {"_target_": "recsys.objectives.likelihood.legal_set_cross_entropy", "_partial_": True},
    "optimizer": ADAM,
}
LOADER = {"_target_": "recsys.data.datasets.loader.PackedLoader", "_partial_": True, "positions": 60, "max_length": 8}
DATA = {"_target_": "recsys.data.datasets.sequence_data.SequenceData", "loader": LOADER}
TRAINER = {"_target_": "tests.fitting.configured_trainer", "_partial_": True}


def training_of(**changes: Any) -> dict[str, Any]:
    """One epoch of next-item training; `None` takes a key away."""
    schedule = {"_target_": "recsys.training.fit.Schedule", "max_epochs": changes.pop("epochs", 1)}
    training = {"model": NETWORK, "system": NEXT_ITEM, "data": DATA, "schedule": schedule, **changes}
    return {key: value for key, value in training.items() if value is not None}


def going_on(start: str, **changes: Any) -> dict[str, Any]:
    """The same from the weights of another training."""
    return training_of(model=None, start=start, **changes)
