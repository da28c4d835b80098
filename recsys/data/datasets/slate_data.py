"""The data module for trainings on logged slates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import Bool
from torch import Tensor
from typing_extensions import override

from recsys.data.datasets.prepare_slates import PreparedSlates
from recsys.data.datasets.slate_loader import SlateLoader
from recsys.data.datasets.slate_log import SlateLog
from recsys.data.datasets.training_data import TrainingData
from recsys.data.datasets.user_slates import Exposure
from recsys.errors import ConfigurationError, DataError

Answers = Callable[[SlateLog, Bool[Tensor, " R"]], tuple[SlateLog, Bool[Tensor, " R"]]]
"""A function that changes a log and its loss mask, such as `recsys.data.datasets.slate_log.all_item_negatives`."""


class SlateData(TrainingData):
    """The users of a log with their training slates in batches, and those with validation slates in order.

    The system gets the arguments `exposure`, how often training shows each item, and `batches`, the number of batches
    of an epoch.

    Args:
        slates: the log, and which of its impressions train and which validate.
        loader: function from a log and a loss mask to a loader; see `recsys.data.datasets.slate_loader`.
        answers: function that replaces the slates of training and validation; None keeps the slates that were shown.

    Raises:
        DataError: the split has no validation part.
    """

    def __init__(
        self, slates: PreparedSlates, loader: Callable[..., SlateLoader], answers: Answers | None = None
    ) -> None:
        super().__init__()
        log, split = slates.log, slates.split
        if not split.validation.any():
            raise DataError(f"{log.name}: the split has no validation slates. Give it a validation share")
        self.loader = loader
        self._training = (log, split.train) if answers is None else answers(log, split.train)
        self._validation = (log, split.validation) if answers is None else answers(log, split.validation)

    @override
    def training_batches(self, rank: int, world_size: int) -> SlateLoader:
        """Return the batches of the only process.

        Raises:
            ConfigurationError: there are several processes.
        """
        if world_size > 1:
            raise ConfigurationError(f"trainer: slate models train in one process, found {world_size}. Set devices: 1")
        return self.loader(*self._training)

    @override
    def validation_batches(self) -> SlateLoader:
        return self.loader(*self._validation, shuffle=False)

    @override
    def system_arguments(self) -> dict[str, Any]:
        return {"exposure": Exposure.from_log(*self._training), "batches": len(self.loader(*self._training))}
