"""Stage: train one or several slate models on the run's slates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

from hydra.utils import instantiate
from omegaconf import DictConfig
from safetensors import safe_open

from recsys.data.datasets.loader import ListLoader
from recsys.data.datasets.slate_log import SlateLog
from recsys.data.datasets.split import SlateSplit
from recsys.data.datasets.user_slates import Exposure, UserSlates
from recsys.errors import ConfigurationError, DataError, RequestError
from recsys.models.slates.slate_model import SlateModel
from recsys.runs.artifacts import WEIGHTS_FILE, load_network_config, save_network
from recsys.runs.prepare import load_slate_log
from recsys.runs.run_folder import RunFolder
from recsys.training.fit import fit
from recsys.training.training_stage import TrainedVariant, TrainingStage

MONITOR = "validation/log_likelihood"
OVERFIT_REPEATS = 20
"""How often an epoch of `overfit` goes through its batches."""

SlateData = tuple[SlateLog, SlateSplit]


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


class SlateTraining(TrainingStage[SlateData]):
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

    def read(self, run: RunFolder) -> SlateData:
        """The log and its split."""
        log, split = load_slate_log(run)
        if not split.validation.any():
            raise DataError(f"{log.name}: no slate validates; give `split` a validation share")
        return log, split

    def fingerprints(self, data: SlateData) -> Sequence[str]:
        """Of the log and its split."""
        log, split = data
        return [log.fingerprint, split.fingerprint]

    def train(self, arm: Any, start: Path | None, data: SlateData, run: RunFolder, checkpoints: Path) -> TrainedVariant:
        """See `TrainingStage.train`."""
        log, split = data
        recipe = arm.network if start is None else load_network_config(start)
        network = (
            build_slate_model(recipe, log) if start is None else load_slate_model(start, log).train().requires_grad_()
        )
        answers = instantiate(arm.answers, _partial_=True) if "answers" in arm else _as_shown
        shown, loss_mask = answers(log, split.train)
        loader = instantiate(arm.loader, _partial_=True)
        training = loader(shown, loss_mask)
        system = instantiate(arm.system, _partial_=True)(
            network, exposure=Exposure.from_log(shown, loss_mask), batches=len(training)
        )
        validation = loader(*answers(log, split.validation), shuffle=False)
        fitted = fit(
            system,
            partial(_batches, training, validation, self.overfit),
            MONITOR,
            instantiate(arm.schedule),
            checkpoints,
            trainer=instantiate(self.trainer, _partial_=True),
            limit=self.limit,
            profiler=self.profiler,
        )
        return TrainedVariant(fitted, partial(save_network, network, recipe, log.fingerprint))


def build_slate_model(node: DictConfig, log: SlateLog) -> SlateModel:
    """A fresh model of the log; `node` configures a partial that takes the log."""
    return instantiate(node, _partial_=True)(log)


def load_slate_model(folder: Path, log: SlateLog) -> SlateModel:
    """The trained model of `folder`, frozen, in evaluation mode.

    Raises:
        RequestError: nothing was trained there, or on other slates.
    """
    model = build_slate_model(load_network_config(folder), log)
    with safe_open(folder / WEIGHTS_FILE, framework="pt") as file:
        if file.metadata()["items"] != log.fingerprint:
            raise RequestError(f"{folder} was trained on other slates than {log.name} as it is now: train it anew")
        model.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    return model.requires_grad_(False).eval()


def _as_shown(log: SlateLog, loss_mask: Any) -> tuple[SlateLog, Any]:
    return log, loss_mask


def _batches(
    training: Iterable[UserSlates],
    validation: Iterable[UserSlates],
    overfit: int | None,
    rank: int,
    world_size: int,
) -> tuple[Iterable[UserSlates], Iterable[UserSlates]]:
    if world_size > 1:
        raise ConfigurationError(f"trainer: slate models train in one process, found {world_size}; set devices: 1")
    if overfit is None:
        return training, validation
    few = list(islice(training, overfit))
    return ListLoader(few * OVERFIT_REPEATS), ListLoader(few)
