"""The data module for trainings on logged slates with their feedback."""

from __future__ import annotations

from typing_extensions import override

from recsys.data.datasets.loader import ExampleLoader
from recsys.data.datasets.prepare_slates import PreparedSlates
from recsys.data.datasets.training_data import TrainingData
from recsys.errors import DataError


class ExampleData(TrainingData):
    """The training slates of a log as examples in batches, and its validation slates in order.

    An example holds the items that the user took before, the slate, and its feedback in channels
    (`recsys.data.datasets.examples.SlateExamples`).

    Args:
        slates: the log, and which of its impressions train and which validate.
        batch_size: number of requests of a batch.
        max_length: histories are cut to this number of most recent items; None keeps them whole.
        seed: seed of the order.

    Raises:
        DataError: the split has no training or no validation part.
    """

    def __init__(
        self, slates: PreparedSlates, batch_size: int = 256, max_length: int | None = None, seed: int = 0
    ) -> None:
        super().__init__()
        for part in ("train", "validation"):
            if not getattr(slates.split, part).any():
                raise DataError(f"{slates.name}: the split has no {part} slates; change its shares")
        self.slates = slates
        self.batch_size = batch_size
        self.max_length = max_length
        self.seed = seed

    @override
    def training_batches(self, rank: int, world_size: int) -> ExampleLoader:
        return ExampleLoader(
            self.slates.examples,
            self.batch_size,
            self.max_length,
            self.seed,
            rows=self.slates.split.train.nonzero().squeeze(1),
            rank=rank,
            world_size=world_size,
        )

    @override
    def validation_batches(self) -> ExampleLoader:
        rows = self.slates.split.validation.nonzero().squeeze(1)
        return ExampleLoader(self.slates.examples, self.batch_size, self.max_length, shuffle=False, rows=rows)
