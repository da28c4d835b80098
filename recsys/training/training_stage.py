"""The base of training stages: train variants in order, keep each, and train anew only those that changed."""

from __future__ import annotations

import logging
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import lightning
import polars as pl
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from recsys.atomic import write_parquet
from recsys.data.datasets.training_data import TrainingData
from recsys.errors import ConfigurationError
from recsys.runs.artifacts import (
    Artifact,
    artifact_folder,
    build_model,
    load_model,
    named_artifacts,
    reading_run,
    save_artifact,
)
from recsys.runs.distributed import distributed_context
from recsys.runs.fingerprint import fingerprint, is_fresh, mark_fresh
from recsys.runs.materials import Materials
from recsys.runs.run_folder import RunFolder
from recsys.systems.declaration import declaration
from recsys.training.fit import FitResult, fit

HISTORY_FILE = "history.parquet"

log = logging.getLogger(__name__)

Read = TypeVar("Read")


@dataclass(frozen=True)
class FittedModel:
    """What a training gave.

    Args:
        system: that was fitted.
        model: whose weights are kept.
        recipe: what it was built from.
        fitted: curve and score.
    """

    system: lightning.LightningModule
    model: nn.Module
    recipe: DictConfig
    fitted: FitResult


class TrainingStage(ABC, Generic[Read]):
    """Train every arm; an arm whose configuration, data and start are unchanged is left as it is.

    Args:
        name: of the stage.
        arms: one configuration an arm, by the name of its row in every table.
        trainer: makes the Lightning trainer: devices, precision, strategy.
        seed: of initial weights, dropout and everything else drawn globally.
        limit: see `recsys.training.fit.fit`.
        overfit: batches that are trained on again and again, and validated on; None trains on all.
        profiler: see `recsys.training.fit.fit`; its table lies beside the checkpoints.
        inputs: stages this one reads.
    """

    everywhere = mends = True

    def __init__(
        self,
        name: str,
        arms: Mapping[str, Any],
        trainer: Any,
        seed: int = 0,
        limit: int | None = None,
        overfit: int | None = None,
        profiler: Literal["simple", "advanced"] | None = None,
        inputs: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.arms = arms
        self.trainer = trainer
        self.seed = seed
        self.limit = limit
        self.overfit = overfit
        self.profiler: Literal["simple", "advanced"] | None = profiler
        self.inputs = inputs

    @abstractmethod
    def read(self, run: RunFolder) -> Read:
        """What all arms train on."""

    @abstractmethod
    def fingerprints(self, data: Read) -> Sequence[str]:
        """Of what was read."""

    @abstractmethod
    def materials(self, data: Read) -> Materials:
        """What models are built from."""

    @abstractmethod
    def training_data(self, arm: Any, data: Read) -> TrainingData:
        """What an arm is trained and validated on."""

    def train(self, arm: Any, start: Path | None, data: Read, run: RunFolder, checkpoints: Path) -> FittedModel:
        """Train one arm, from the weights in `start` where it names another arm."""
        materials = self.materials(data)
        recipe = arm.network if start is None else OmegaConf.create(dict(Artifact.read(start).recipe or {}))
        model = build_model(recipe, materials) if start is None else load_model(start, materials)
        batches = self.training_data(arm, data)
        batches.overfit = self.overfit
        with reading_run(run):
            system = instantiate(arm.system, _partial_=True)(model, **batches.system_arguments())
        fitted = fit(
            system,
            batches,
            instantiate(arm.schedule),
            checkpoints,
            trainer=instantiate(self.trainer, _partial_=True),
            limit=self.limit,
            profiler=self.profiler,
        )
        return FittedModel(system, model, recipe, fitted)

    def run(self, run: RunFolder) -> None:
        """Train the arms one after the other, in the order written."""
        data = self.read(run)
        distributed_context().decide(lambda: self._forget_others(run))
        for name, arm in self.arms.items():
            self._train(name, arm, run, data)
        distributed_context().decide(lambda: self._gather_history(run))

    def _train(self, name: str, arm: Any, run: RunFolder, data: Read) -> None:
        ranks, folder, checkpoints = (
            distributed_context(),
            run.stage(self.name) / name,
            run.checkpoint(self.name) / name,
        )
        start = self._start(arm, name, run)
        read = [
            Artifact.read(start).fingerprint if start else None,
            *(Artifact.read(artifact_folder(run, one)).fingerprint for one in named_artifacts(arm)),
        ]
        made_with = (self.trainer, self.seed, self.limit, self.overfit)
        print_ = fingerprint(arm, *made_with, *self.fingerprints(data), *read)
        if ranks.decide(lambda: is_fresh(folder, print_)):
            log.info("%s/%s: up to date", self.name, name)
            return
        ranks.decide(lambda: _begin(checkpoints, print_))
        lightning.seed_everything(self.seed, verbose=False)
        log.info("%s/%s: training", self.name, name)
        trained = self.train(arm, start, data, run, checkpoints)

        def keep() -> None:
            """Curve and artifact; the mark that all is there comes last."""
            folder.mkdir(parents=True, exist_ok=True)
            write_parquet(folder / HISTORY_FILE, trained.fitted.history)
            declared = declaration(trained.system)
            recipe: Any = OmegaConf.to_container(trained.recipe, resolve=True)
            left = Artifact(
                name=name,
                kind=declared.artifact,
                fingerprint=print_,
                materials=self.materials(data).fingerprint,
                recipe=recipe,
                monitor=declared.monitor,
                mode=declared.mode,
                score=trained.fitted.score,
            )
            save_artifact(left, trained.model, folder)
            mark_fresh(folder, print_)

        ranks.decide(keep)

    def _forget_others(self, run: RunFolder) -> None:
        """Take away arms that are configured no more."""
        for folder in (*run.stage(self.name).glob("*/"), *run.checkpoint(self.name).glob("*/")):
            if folder.name not in self.arms:
                shutil.rmtree(folder)

    def _gather_history(self, run: RunFolder) -> None:
        parts = [
            pl.read_parquet(run.stage(self.name) / name / HISTORY_FILE).with_columns(arm=pl.lit(name))
            for name in self.arms
        ]
        history = pl.concat(parts).with_columns(metric=pl.col("arm") + "/" + pl.col("metric"))
        write_parquet(run.stage(self.name) / HISTORY_FILE, history.select("step", "metric", "value"))

    def _start(self, arm: Any, name: str, run: RunFolder) -> Path | None:
        if ("start" in arm) == ("network" in arm):
            raise ConfigurationError(f"stage.{self.name}.arms.{name}: give either `network` or `start`, one of the two")
        return artifact_folder(run, arm.start) if "start" in arm else None


def _begin(checkpoints: Path, mark: str) -> None:
    """Take away checkpoints of another training: `fit` goes on from what it finds."""
    if not is_fresh(checkpoints, mark):
        shutil.rmtree(checkpoints, ignore_errors=True)
        checkpoints.mkdir(parents=True)
        mark_fresh(checkpoints, mark)
