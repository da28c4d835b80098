"""The data module for trainings on sequences of items."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from typing_extensions import override

from recsys.data.datasets.dataset import Dataset
from recsys.data.datasets.loader import ExampleLoader, PackedLoader
from recsys.data.datasets.prefixes import prefixes
from recsys.data.datasets.training_data import TrainingData
from recsys.types.context import Context
from recsys.types.example import Example

VALIDATION_REQUESTS = 512
"""Number of requests of a validation batch."""


class SequenceData(TrainingData):
    """The training sequences of a data set in batches, and its validation requests.

    The system gets the argument `repeats`: whether users may interact with an item again.

    Args:
        dataset: data set with training sequences and validation requests.
        loader: function from the context of training sequences, with `repeats`, `rank` and `world_size`, to their
            loader, such as `recsys.data.datasets.loader.PackedLoader`.
    """

    def __init__(self, dataset: Dataset, loader: Callable[..., PackedLoader]) -> None:
        super().__init__()
        self.dataset = dataset
        self.loader = loader

    @override
    def training_batches(self, rank: int, world_size: int) -> PackedLoader:
        dataset = self.dataset
        return self.loader(dataset.train, repeats=dataset.repeats, rank=rank, world_size=world_size)

    @override
    def validation_batches(self) -> Iterable[Example]:
        return ExampleLoader(self.dataset.validation, VALIDATION_REQUESTS, shuffle=False)

    @override
    def as_validation(self, batch: Context) -> Example:
        return prefixes(batch, self.dataset.repeats)

    @override
    def system_arguments(self) -> dict[str, Any]:
        return {"repeats": self.dataset.repeats}
