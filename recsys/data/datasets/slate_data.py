"""The data module of trainings on logged slates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import Bool
from torch import Tensor
from typing_extensions import override

from recsys.data.datasets.slate_loader import SlateLoader
from recsys.data.datasets.slate_log import SlateLog
from recsys.data.datasets.split import SlateSplit
from recsys.data.datasets.training_data import TrainingData
from recsys.data.datasets.user_slates import Exposure
from recsys.errors import ConfigurationError, DataError

Answers = Callable[[SlateLog, Bool[Tensor, " R"]], tuple[SlateLog, Bool[Tensor, " R"]]]
"""Changes a log and which of its impressions are to be explained (`recsys.data.datasets.slate_log`)."""


class SlateData(TrainingData):
    """The users of a log with their training slates in batches, and those with validation slates in order.

    It tells the system how often training shows each item (`exposure`) and how many batches an epoch has (`batches`).

    Args:
        log: what was shown and clicked.
        split: which impressions train and which validate.
        loader: makes the loader from a log and the impressions that count; `recsys.data.datasets.slate_loader`.
        answers: replaces the slates to be explained, in training and validation; None keeps those that were shown.

    Raises:
        DataError: the split has no validation part.
    """

    def __init__(
        self, log: SlateLog, split: SlateSplit, loader: Callable[..., SlateLoader], answers: Answers | None = None
    ) -> None:
        super().__init__()
        if not split.validation.any():
            raise DataError(f"{log.name}: no slate validates; give `split` a validation share")
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
            raise ConfigurationError(f"trainer: slate models train in one process, found {world_size}; set devices: 1")
        return self.loader(*self._training)

    @override
    def validation_batches(self) -> SlateLoader:
        return self.loader(*self._validation, shuffle=False)

    @override
    def system_arguments(self) -> dict[str, Any]:
        return {"exposure": Exposure.from_log(*self._training), "batches": len(self.loader(*self._training))}
