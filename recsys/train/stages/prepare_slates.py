"""Stage: tables of slates to a log and its split."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from recsys.data.prepare_slates import prepare_slates
from recsys.data.slate_log import SlateLog
from recsys.data.slate_source import SlateSource
from recsys.data.slate_split import SlateSplit
from recsys.data.slate_store import load_slates, save_slates
from recsys.train.run_folder import RunFolder

log = logging.getLogger(__name__)


@dataclass
class PrepareSlates:
    """Read a source's slates, divide them, and keep both in the run folder.

    Args:
        source: of the slates.
        split: which train and which are evaluated; `recsys.data.slate_split`.
    """

    source: SlateSource
    split: Callable[[SlateLog], SlateSplit]
    inputs: ClassVar[Sequence[str]] = ()

    def run(self, run: RunFolder) -> None:
        """Prepare."""
        slates = prepare_slates(self.source)
        split = self.split(slates)
        save_slates(slates, split, run.stage("prepare"))
        parts = ", ".join(f"{int(getattr(split, part).sum()):,} {part}" for part in ("train", "validation", "test"))
        log.info("%s; %s", slates.describe(), parts)


def load_log(run: RunFolder) -> tuple[SlateLog, SlateSplit]:
    """What a run was made with."""
    return load_slates(run.stage("prepare"))
