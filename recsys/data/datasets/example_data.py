"""The data module for trainings on logged slates with their feedback."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from typing_extensions import override

from recsys.data.datasets.loader import ExampleLoader
from recsys.data.datasets.prepare_slates import PreparedSlates
from recsys.data.datasets.slate_log import SlateLog
from recsys.data.datasets.training_data import TrainingData
from recsys.errors import DataError
from recsys.ranges import at_least, is_seed

log = logging.getLogger(__name__)


@runtime_checkable
class SlateRule(Protocol):
    """Chooses slates of a log."""

    def __call__(self, log: SlateLog) -> Bool[Tensor, " R"]:
        """Return which slates are chosen, `[R]`."""
        ...

    def describe(self, log: SlateLog) -> str:
        """Return how many slates are chosen, in one line of text."""
        ...


class ExampleData(TrainingData):
    """The training slates of a log as examples in batches, and its validation slates in order.

    An example holds the items that the user took before, the slate, and its feedback in channels
    (`recsys.data.datasets.examples.SlateExamples`).

    Args:
        slates: the log, and which of its impressions train and which validate.
        batch_size: number of requests of a batch.
        max_length: histories are cut to this number of most recent items; None keeps them whole.
        seed: seed of the order.
        only: rules that choose among the training and validation slates; a slate meets all of them. What they choose is
            logged.
        validation_requests: validation slates at most, drawn once, the same for every seed; None takes all. Ranking a
            whole catalogue for each of them can take longer than an epoch of training.

    Raises:
        DataError: the split has no training or no validation part, or the rules leave nothing of it.
    """

    light = True

    def __init__(
        self,
        slates: PreparedSlates,
        batch_size: int = 256,
        max_length: int | None = None,
        seed: int = 0,
        only: Sequence[SlateRule] = (),
        validation_requests: int | None = None,
    ) -> None:
        at_least(1, batch_size=batch_size, max_length=max_length, validation_requests=validation_requests)
        is_seed(seed=seed)
        super().__init__()
        self._rows: dict[str, Tensor] = {}
        for part in ("train", "validation"):
            mask = getattr(slates.split, part)
            if not mask.any():
                raise DataError(f"{slates.name}: the split has no {part} slates; change its shares")
            for rule in only:
                mask = mask & rule(slates.log)
            if not mask.any():
                told = "; ".join(rule.describe(slates.log) for rule in only)
                raise DataError(
                    f"{slates.name}: no {part} slate meets the rules ({told}). Loosen them (`sessions` of the"
                    " experiment, or `only` of the data module), or bring more slates"
                )
            self._rows[part] = mask.nonzero().squeeze(1)
        self._rows["validation"] = drawn(self._rows["validation"], validation_requests)
        self.only = list(only)
        self.slates = slates
        self.batch_size = batch_size
        self.max_length = max_length
        self.seed = seed

    @override
    def setup(self, stage: str) -> None:
        """Log what the rules choose, once a training."""
        for rule in self.only:
            log.info("%s", rule.describe(self.slates.log))

    @override
    def training_batches(self, rank: int, world_size: int) -> ExampleLoader:
        return ExampleLoader(
            self.slates.examples,
            self.batch_size,
            self.max_length,
            self.seed,
            rows=self._rows["train"],
            rank=rank,
            world_size=world_size,
        )

    @override
    def validation_batches(self) -> ExampleLoader:
        rows = self._rows["validation"]
        return ExampleLoader(self.slates.examples, self.batch_size, self.max_length, shuffle=False, rows=rows)


def drawn(rows: Int[Tensor, " R"], count: int | None) -> Int[Tensor, " r"]:
    """Return so many of the rows, drawn without replacement, always the same, in their order; None returns all."""
    if count is None or count >= len(rows):
        return rows
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:count].sort().values]
