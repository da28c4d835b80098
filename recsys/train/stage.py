"""The contract of a stage: what one entry of `stages` configures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from recsys.train.run_folder import RunFolder


@runtime_checkable
class Stage(Protocol):
    """One step of a run. It reads what earlier stages left in the run folder and leaves its own result there.

    Making a stage only keeps its arguments; the work is in `run`. `inputs` is known before the stage is made, from its
    configuration or as a class attribute, because it decides whether the stage is made at all; so is `name`, where a
    stage has one. A stage that writes files at the root of the run folder (`metrics.json`, `report.html`) names them in
    a class attribute `results`, so that they are taken away when what they were made from changes. Where several
    processes go through the run, a stage runs in the first; one that trains in all of them says `everywhere = True`.
    What a stage made with another configuration is taken away before it runs, unless it says `mends = True`: then it
    finds it and keeps what still holds.
    """

    @property
    def inputs(self) -> Sequence[str]:
        """Names of the earlier stages whose results it reads."""
        ...

    def run(self, run: RunFolder) -> None:
        """Do the work. Results go to `run.stage(name)`, weights to `run.checkpoint(name)`.

        What lies there at the start was left by an interrupted run of the same stage with the same fingerprint: go on
        from it where that gives the same result, or else overwrite it. What was logged while training goes to
        `run.stage(name) / "history.parquet"` with columns `step`, `metric`, `value`.
        """
        ...
