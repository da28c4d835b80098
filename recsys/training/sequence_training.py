"""Stage: train one or several networks on the run's sequences of items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

from hydra.utils import instantiate

from recsys.data.datasets.dataset import Dataset
from recsys.items.bundle import ItemBundle
from recsys.runs.artifacts import build_network, load_network, load_network_config, reading_run, save_network
from recsys.runs.prepare import load_dataset
from recsys.runs.run_folder import RunFolder
from recsys.runs.tokenize import load_bundle
from recsys.training.fit import fit_sequences
from recsys.training.training_stage import TrainedVariant, TrainingStage


class Variant(TypedDict):
    """One training, as configuration: its parts are made when its turn comes.

    `network` builds one from the item bundle; `start` goes on from the weights of another arm; one of the two.
    """

    network: NotRequired[Any]
    start: NotRequired[str]
    system: Any
    loader: Any
    schedule: Any


class SequenceTraining(TrainingStage[tuple[Dataset, ItemBundle]]):
    """Train every arm on the run's sequences and items; see `TrainingStage` for its arguments.

    An arm is one training:

    - `network`: what to build, given the item bundle; or `start`: the arm whose weights to go on from
    - `system`: the LightningModule, given the network
    - `loader`: the loader of training sequences, given their context and the process's share of them
    - `schedule`: how long (`recsys.training.fit.Schedule`)
    """

    def __init__(
        self,
        name: str,
        arms: Mapping[str, Variant],
        trainer: Any,
        seed: int = 0,
        limit: int | None = None,
        overfit: int | None = None,
        profiler: Literal["simple", "advanced"] | None = None,
        inputs: Sequence[str] = ("prepare", "tokenize"),
    ) -> None:
        super().__init__(name, arms, trainer, seed, limit, overfit, profiler, inputs)

    def read(self, run: RunFolder) -> tuple[Dataset, ItemBundle]:
        """The data set and its items."""
        return load_dataset(run), load_bundle(run)

    def fingerprints(self, data: tuple[Dataset, ItemBundle]) -> Sequence[str]:
        """Of both."""
        return [part.fingerprint for part in data]

    def train(
        self, arm: Any, start: Path | None, data: tuple[Dataset, ItemBundle], run: RunFolder, checkpoints: Path
    ) -> TrainedVariant:
        """See `TrainingStage.train`."""
        dataset, bundle = data
        recipe = arm.network if start is None else load_network_config(start)
        network = build_network(recipe, bundle) if start is None else load_network(start, bundle).train()
        with reading_run(run):
            system = instantiate(arm.system, _partial_=True)(network, repeats=dataset.repeats)
        fitted = fit_sequences(
            system,
            partial(instantiate(arm.loader, _partial_=True), repeats=dataset.repeats),
            instantiate(arm.schedule),
            dataset,
            checkpoints,
            self.overfit,
            trainer=instantiate(self.trainer, _partial_=True),
            limit=self.limit,
            profiler=self.profiler,
        )
        return TrainedVariant(fitted, partial(save_network, network, recipe, bundle.fingerprint))
