"""Stage: networks trained on the run's data, one or several side by side."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

import lightning
import polars as pl
from hydra.utils import instantiate

from recsys.data.dataset import Dataset
from recsys.errors import ConfigurationError
from recsys.items.bundle import ItemBundle
from recsys.train.arms import RESULT, arm_folder, arm_result
from recsys.train.fingerprint import fingerprint, is_fresh, mark_fresh
from recsys.train.fit import fit
from recsys.train.networks import build_network, load_network, load_recipe, save_network
from recsys.train.parts import arms_read, reading
from recsys.train.ranks import current_ranks
from recsys.train.run_folder import RunFolder
from recsys.train.stages.prepare import load_dataset
from recsys.train.stages.tokenize import load_bundle

HISTORY = "history.parquet"

log = logging.getLogger(__name__)


class Arm(TypedDict):
    """One training, as configuration: its parts are made when its turn comes.

    `network` builds one from the item bundle; `start` goes on from the weights of another arm; one of the two.
    """

    network: NotRequired[Any]
    start: NotRequired[str]
    system: Any
    loader: Any
    schedule: Any


class Training:
    """Train every arm; an arm whose configuration, data, items and start are unchanged is left as it is.

    An arm is one training:

    - `network`: what to build, given the item bundle; or `start`: the arm whose weights to go on from
    - `system`: the LightningModule, given the network
    - `loader`: the loader of training sequences, given their context and the process's share of them
    - `schedule`: how long (`recsys.train.fit.Schedule`)

    Args:
        name: of the stage.
        arms: one configuration an arm, by the name of its row in every table.
        trainer: makes the Lightning trainer: devices, precision, strategy.
        seed: of initial weights, dropout and everything else drawn globally.
        limit: see `recsys.train.fit.fit`, as the next two.
        overfit: batches that are trained on again and again.
        profiler: its table lies beside the checkpoints.
        inputs: stages this one reads.
    """

    everywhere = mends = True

    def __init__(
        self,
        name: str,
        arms: Mapping[str, Arm],
        trainer: Any,
        seed: int = 0,
        limit: int | None = None,
        overfit: int | None = None,
        profiler: Literal["simple", "advanced"] | None = None,
        inputs: Sequence[str] = ("prepare", "tokenize"),
    ) -> None:
        self.name = name
        self.arms = arms
        self.trainer = trainer
        self.seed = seed
        self.limit = limit
        self.overfit = overfit
        self.profiler: Literal["simple", "advanced"] | None = profiler
        self.inputs = inputs

    def run(self, run: RunFolder) -> None:
        """Train the arms one after the other, in the order written."""
        dataset, bundle = load_dataset(run), load_bundle(run)
        current_ranks().decide(lambda: self._forget_others(run))
        for name, arm in self.arms.items():
            self._train(name, arm, run, dataset, bundle)
        current_ranks().decide(lambda: self._gather_history(run))

    def _train(self, name: str, arm: Any, run: RunFolder, dataset: Dataset, bundle: ItemBundle) -> None:
        ranks, folder, checkpoints = current_ranks(), run.stage(self.name) / name, run.checkpoint(self.name) / name
        start = self._start(arm, name, run)
        read = [arm_result(start) if start else None, *(arm_result(arm_folder(run, one)) for one in arms_read(arm))]
        made_with = (self.trainer, self.seed, self.limit, self.overfit)
        print_ = fingerprint(arm, *made_with, dataset.fingerprint, bundle.fingerprint, *read)
        if ranks.decide(lambda: is_fresh(folder, print_)):
            log.info("%s/%s: up to date", self.name, name)
            return
        ranks.decide(lambda: _begin(checkpoints, print_))
        recipe = arm.network if start is None else load_recipe(start)
        lightning.seed_everything(self.seed, verbose=False)
        network = build_network(recipe, bundle) if start is None else load_network(start, bundle).train()
        log.info("%s/%s: training", self.name, name)
        with reading(run):
            system = instantiate(arm.system, _partial_=True)(network, repeats=dataset.repeats)
        fitted = fit(
            system,
            partial(instantiate(arm.loader, _partial_=True), repeats=dataset.repeats),
            instantiate(arm.schedule),
            dataset,
            checkpoints,
            instantiate(self.trainer, _partial_=True),
            limit=self.limit,
            overfit=self.overfit,
            profiler=self.profiler,
        )

        def keep() -> None:
            """Weights, curve and score; the mark that all is there comes last."""
            save_network(network, recipe, bundle, folder)
            fitted.history.write_parquet(folder / HISTORY)
            (folder / RESULT).write_text(json.dumps({"validation": fitted.validation, "fingerprint": print_}))
            mark_fresh(folder, print_)

        ranks.decide(keep)

    def _forget_others(self, run: RunFolder) -> None:
        """Take away arms that are configured no more."""
        for folder in (*run.stage(self.name).glob("*/"), *run.checkpoint(self.name).glob("*/")):
            if folder.name not in self.arms:
                shutil.rmtree(folder)

    def _gather_history(self, run: RunFolder) -> None:
        parts = [
            pl.read_parquet(run.stage(self.name) / name / HISTORY).with_columns(arm=pl.lit(name)) for name in self.arms
        ]
        history = pl.concat(parts).with_columns(metric=pl.col("arm") + "/" + pl.col("metric"))
        history.select("step", "metric", "value").write_parquet(run.stage(self.name) / HISTORY)

    def _start(self, arm: Any, name: str, run: RunFolder) -> Path | None:
        if ("start" in arm) == ("network" in arm):
            raise ConfigurationError(f"stage.{self.name}.arms.{name}: give either `network` or `start`, one of the two")
        return arm_folder(run, arm.start) if "start" in arm else None


def _begin(checkpoints: Path, mark: str) -> None:
    """Take away checkpoints of another training: `fit` goes on from what it finds."""
    if not is_fresh(checkpoints, mark):
        shutil.rmtree(checkpoints, ignore_errors=True)
        checkpoints.mkdir(parents=True)
        mark_fresh(checkpoints, mark)
