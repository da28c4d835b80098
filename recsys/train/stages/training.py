"""Stage: networks trained on the run's sequences, one or several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

from hydra.utils import instantiate

from recsys.data.dataset import Dataset
from recsys.items.bundle import ItemBundle
from recsys.train.fit_sequences import fit_sequences
from recsys.train.networks import build_network, load_network, load_recipe, save_network
from recsys.train.parts import reading
from recsys.train.run_folder import RunFolder
from recsys.train.stages.arm_training import ArmTraining, Trained
from recsys.train.stages.prepare import load_dataset
from recsys.train.stages.tokenize import load_bundle


class Arm(TypedDict):
    """One training, as configuration: its parts are made when its turn comes.

    `network` builds one from the item bundle; `start` goes on from the weights of another arm; one of the two.
    """

    network: NotRequired[Any]
    start: NotRequired[str]
    system: Any
    loader: Any
    schedule: Any


class Training(ArmTraining[tuple[Dataset, ItemBundle]]):
    """Train every arm on the run's sequences and items; see `ArmTraining` for its arguments.

    An arm is one training:

    - `network`: what to build, given the item bundle; or `start`: the arm whose weights to go on from
    - `system`: the LightningModule, given the network
    - `loader`: the loader of training sequences, given their context and the process's share of them
    - `schedule`: how long (`recsys.train.fit.Schedule`)
    """

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
        super().__init__(name, arms, trainer, seed, limit, overfit, profiler, inputs)

    def read(self, run: RunFolder) -> tuple[Dataset, ItemBundle]:
        """The data set and its items."""
        return load_dataset(run), load_bundle(run)

    def fingerprints(self, data: tuple[Dataset, ItemBundle]) -> Sequence[str]:
        """Of both."""
        return [part.fingerprint for part in data]

    def train(
        self, arm: Any, start: Path | None, data: tuple[Dataset, ItemBundle], run: RunFolder, checkpoints: Path
    ) -> Trained:
        """See `ArmTraining.train`."""
        dataset, bundle = data
        recipe = arm.network if start is None else load_recipe(start)
        network = build_network(recipe, bundle) if start is None else load_network(start, bundle).train()
        with reading(run):
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
        return Trained(fitted, partial(save_network, network, recipe, bundle.fingerprint))
