"""Stage: train one or several networks on the run's sequences of items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from hydra.utils import instantiate

from recsys.data.datasets.dataset import Dataset
from recsys.data.datasets.sequence_data import SequenceData
from recsys.items.bundle import ItemBundle
from recsys.runs.materials import load_bundle
from recsys.runs.prepare import load_dataset
from recsys.runs.run_folder import RunFolder
from recsys.training.training_stage import TrainingStage


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

    def materials(self, data: tuple[Dataset, ItemBundle]) -> ItemBundle:
        """The items."""
        return data[1]

    def training_data(self, arm: Any, data: tuple[Dataset, ItemBundle]) -> SequenceData:
        """The data set in the batches of the arm's loader."""
        return SequenceData(data[0], instantiate(arm.loader, _partial_=True))
