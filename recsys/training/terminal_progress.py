"""The progress bar of a training on a terminal."""

from __future__ import annotations

import sys
from typing import Any

import lightning
from lightning.pytorch.callbacks import RichProgressBar
from rich.table import Column
from typing_extensions import override

from recsys.report.visible import visible

ROOM = 100
"""Columns of a terminal that has room for times and speed beside the metrics."""


class TerminalProgress(RichProgressBar):
    """Shows batches and metrics while standard output is a terminal, and nothing elsewhere.

    Names of metrics are plain text; on a narrow terminal times and speed are left out for them.
    """

    def __init__(self) -> None:
        super().__init__(leave=False)
        if not sys.stdout.isatty():
            self.disable()

    @override
    def configure_columns(self, trainer: lightning.Trainer) -> list[Any]:
        columns = super().configure_columns(trainer)
        wide = self._console is None or self._console.width >= ROOM
        return columns if wide else [columns[0], columns[2]]

    @override
    def _init_progress(self, trainer: lightning.Trainer) -> None:
        super()._init_progress(trainer)
        if self._metric_component is not None:
            self._metric_component._table_column = Column(overflow="fold")  # whole names, in several lines if need be

    @override
    def get_metrics(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> Any:
        return {visible(name): value for name, value in super().get_metrics(trainer, pl_module).items()}
