"""The base of the data modules of trainings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from itertools import islice
from typing import Any, ClassVar

import lightning
from typing_extensions import override

from recsys.data.datasets.loader import ListLoader, RepeatBatches

OVERFIT_REPEATS = 20
"""Number of passes over the batches in an epoch of `overfit`."""


class TrainingData(lightning.LightningDataModule):
    """Batches for training and validation, and the arguments that a system takes from the data.

    A subclass provides the batches of a process. This class repeats each batch for systems that take several steps on
    it (`inner_steps`), and cuts the data to a few batches for `overfit`. Loaders that can be resumed have `state_dict`
    and `load_state_dict` (`recsys.data.datasets.resumable.ResumableLoader`); the trainer stores their position in the
    checkpoint.

    Attributes:
        overfit: number of batches for repeated training and for validation; None trains on all.
        light: whether making the data module costs next to nothing, so that a run makes it once more to refuse its data
            before any training begins.
    """

    light: ClassVar[bool] = False

    overfit: int | None = None

    @abstractmethod
    def training_batches(self, rank: int, world_size: int) -> Iterable[Any]:
        """Return the training batches of process `rank` out of `world_size`."""

    @abstractmethod
    def validation_batches(self) -> Iterable[Any]:
        """Return the validation batches."""

    def as_validation(self, batch: Any) -> Any:
        """Return a training batch in the form of a validation batch, for `overfit`."""
        return batch

    def system_arguments(self) -> dict[str, Any]:
        """Return the arguments that the constructor of a system takes from the data."""
        return {}

    @override
    def train_dataloader(self) -> Iterable[Any]:
        """Return the training batches of this process."""
        times = getattr(self.trainer.lightning_module, "inner_steps", 1) if self.trainer else 1
        if self.overfit is not None:
            few = self._few(self.overfit)
            return ListLoader([batch for batch in few * OVERFIT_REPEATS for _ in range(times)])
        batches: Any = self._own_batches()
        return batches if times == 1 else RepeatBatches(batches, times)

    @override
    def val_dataloader(self) -> Iterable[Any]:
        """Return the validation batches."""
        if self.overfit is None:
            return self.validation_batches()
        return ListLoader([self.as_validation(batch) for batch in self._few(self.overfit)])

    def _own_batches(self) -> Iterable[Any]:
        trainer = self.trainer
        return (
            self.training_batches(0, 1)
            if trainer is None
            else self.training_batches(trainer.global_rank, trainer.world_size)
        )

    def _few(self, count: int) -> list[Any]:
        return list(islice(self._own_batches(), count))
