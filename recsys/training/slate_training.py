"""Stage: train one or several slate models on the run's slates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from hydra.utils import instantiate

from recsys.data.datasets.slate_data import SlateData
from recsys.data.datasets.slate_log import SlateLog
from recsys.data.datasets.split import SlateSplit
from recsys.runs.prepare import load_slate_log
from recsys.runs.run_folder import RunFolder
from recsys.training.training_stage import TrainingStage

PreparedSlates = tuple[SlateLog, SlateSplit]


class SlateVariant(TypedDict):
    """One training of a slate model, as configuration: its parts are made when its turn comes.

    `network` builds one from the log; `start` goes on from the weights of another arm; one of the two. `answers`
    changes what is explained (`recsys.data.datasets.slate_log`); without it the slates are those shown.
    """

    network: NotRequired[Any]
    start: NotRequired[str]
    answers: NotRequired[Any]
    system: Any
    loader: Any
    schedule: Any


class SlateTraining(TrainingStage[PreparedSlates]):
    """Train every arm on the run's slates; see `TrainingStage` for its arguments.

    An arm is one training:

    - `network`: what to build, given the log; or `start`: the arm whose weights to go on from
    - `answers`: changes the log and its loss mask, before training and validation; left out, nothing is changed
    - `system`: the LightningModule, given the network, `exposure` and `batches`
    - `loader`: the loader, given the log and its loss mask; validation has its users in order
    - `schedule`: how long (`recsys.training.fit.Schedule`)

    Where the schedule keeps the best weights, validation log-likelihood decides, each arm's by its own likelihood.
    """

    def __init__(
        self,
        name: str,
        arms: Mapping[str, SlateVariant],
        trainer: Any,
        seed: int = 0,
        limit: int | None = None,
        overfit: int | None = None,
        profiler: Literal["simple", "advanced"] | None = None,
        inputs: Sequence[str] = ("prepare",),
    ) -> None:
        super().__init__(name, arms, trainer, seed, limit, overfit, profiler, inputs)

    def read(self, run: RunFolder) -> PreparedSlates:
        """The log and its split."""
        return load_slate_log(run)

    def fingerprints(self, data: PreparedSlates) -> Sequence[str]:
        """Of the log and its split."""
        log, split = data
        return [log.fingerprint, split.fingerprint]

    def materials(self, data: PreparedSlates) -> SlateLog:
        """The log."""
        return data[0]

    def training_data(self, arm: Any, data: PreparedSlates) -> SlateData:
        """The log in the batches of the arm's loader."""
        answers = instantiate(arm.answers, _partial_=True) if "answers" in arm else None
        return SlateData(*data, instantiate(arm.loader, _partial_=True), answers)
