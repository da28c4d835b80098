"""Stage: make the trainings of a run, each of which leaves one artifact."""

from __future__ import annotations

import inspect
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, NotRequired, TypedDict, get_args

import lightning
import polars as pl
import torch
from jaxtyping import AbstractArray
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from recsys.atomic import write_json, write_parquet
from recsys.config.signature import locate
from recsys.config.type_check import describe, first_argument, parameters
from recsys.config.validate import incomplete
from recsys.data.datasets.preparation import Materials, PreparedData
from recsys.data.datasets.training_data import TrainingData
from recsys.errors import ConfigurationError, DataError, RequestError
from recsys.instantiation import PartError, make
from recsys.objectives.trial import try_objective
from recsys.ranges import at_least, is_seed
from recsys.runs.artifacts import (
    ARTIFACT_FILE,
    ITEM_VECTORS,
    Artifact,
    artifact_folder,
    build_model,
    is_whole,
    load_model,
    make_policy,
    named_artifacts,
    reading_run,
    save_artifact,
    training_order_file,
)
from recsys.runs.distributed import distributed_context
from recsys.runs.fingerprint import FINGERPRINT_FILE, fingerprint, is_fresh, mark_fresh, mark_result
from recsys.runs.materials import load_materials
from recsys.runs.prepare import load_data
from recsys.runs.run_folder import RunFolder
from recsys.systems.declaration import declaration
from recsys.systems.group_sampling import WITHOUT_INCLUSION
from recsys.training.data_kind import prepared_kind
from recsys.training.fit import fit
from recsys.training.order import dependencies, training_order
from recsys.training.trainer_options import check_devices, check_trainer_options
from recsys.types.rollout import Rollout

HISTORY_FILE = "history.parquet"

log = logging.getLogger(__name__)


class Training(TypedDict):
    """One training, as configuration; its parts are made when its turn comes.

    - `model`: builds what is trained, given the run's item bundle, or its prepared data where it has no items as tokens
    - `start`: instead of `model`, the training whose model and weights to go on from
    - `policy`: makes the policy of the model, a network that generates, for the training and for those who load what
      it leaves; that of `start`, or `GenerativePolicy`, where it is absent
    - `system`: the LightningModule, given the model, `policy` where there is one, and what its data say of themselves
    - `data`: the data module, given the prepared data (`recsys.data.datasets.training_data.TrainingData`)
    - `schedule`: how long (`recsys.training.fit.Schedule`)
    - `seed`: of its initial weights, dropout and whatever else is drawn globally; that of the run where it is absent
    """

    model: NotRequired[Any]
    start: NotRequired[str]
    policy: NotRequired[Any]
    system: Any
    data: Any
    schedule: Any
    seed: NotRequired[int]


class Train:
    """Make every training; one whose configuration, data and needed artifacts are unchanged is left as it is.

    A training needs the artifacts that its configuration names: `start`, and every part that is
    `{_target_: recsys.runs.artifacts.artifact, name: …}`. The order follows from that.

    Args:
        trainings: by name, which is the name of the artifact and of the row in every table.
        trainer: makes the Lightning trainer: devices, precision, strategy, `logger` and further `callbacks`. Options
            that trainings set themselves are refused (`recsys.training.trainer_options`).
        seed: of initial weights, dropout and everything else drawn globally.
        limit: as in `recsys.training.fit.fit`.
        overfit: number of batches that are trained on again and again, and validated on; None trains on all.
        profiler: as in `recsys.training.fit.fit`; its table lies beside the checkpoints.
    """

    name: ClassVar[str] = "train"
    all_ranks: ClassVar[bool] = True
    incremental: ClassVar[bool] = True

    def __init__(
        self,
        trainings: Mapping[str, Training],
        trainer: Any,
        seed: int = 0,
        limit: int | None = None,
        overfit: int | None = None,
        profiler: Literal["simple", "advanced"] | None = None,
    ) -> None:
        is_seed(seed=seed)
        at_least(1, limit=limit, overfit=overfit)
        self.trainings: Any = trainings if OmegaConf.is_config(trainings) else OmegaConf.create(dict(trainings))
        self.trainer = trainer
        self.seed = seed
        self.limit = limit
        self.overfit = overfit
        self.profiler: Literal["simple", "advanced"] | None = profiler

    @staticmethod
    def check_configuration(node: DictConfig, config: DictConfig) -> None:
        """Refuse trainings that cannot be made in any order, or with their policy, before anything runs."""
        training_order(node.trainings)
        trainer = node.get("trainer") or {}
        check_trainer_options(map(str, trainer))
        check_devices(trainer)
        for name, training in node.trainings.items():
            is_seed(**{f"train.{name}.seed": training.get("seed", 0)})
            _check_policy(f"train.{name}", training)
            _check_artifacts(f"train.{name}", training)
            _check_data(f"train.{name}", training, config)
            _check_parts(training)
            _check_objective(f"train.{name}.system", training)

    def check_data(self, run: RunFolder) -> None:
        """Refuse data from which a training cannot learn, before the first of them begins.

        Data modules that are light are made once more for that, and a system whose class has a static method
        `check_data(node, batches, key)` is asked with its configuration, the data module and its key.
        """
        data = load_data(run)
        for name in training_order(self.trainings):
            training, key = self.trainings[name], f"train.{name}"
            module = locate(f"{key}.data._target_", training.data["_target_"])
            if not getattr(module, "light", False) or named_artifacts(training.data):
                continue
            try:
                batches = make(training.data, data, key=f"{key}.data")
            except DataError as error:
                raise PartError(f"{key}.data", str(error)) from error
            check = getattr(locate(f"{key}.system._target_", training.system["_target_"]), "check_data", None)
            if check is not None:
                check(training.system, batches, f"{key}.system")

    def run(self, run: RunFolder) -> None:
        """Make the trainings one after the other."""
        data, materials = load_data(run), load_materials(run)
        order = training_order(self.trainings)
        ranks = distributed_context()
        ranks.decide(lambda: self._forget_others(run, order))
        for name in order:
            self._make(name, run, data, materials)
        ranks.decide(lambda: self._gather_history(run, order))

    def _make(self, name: str, run: RunFolder, data: PreparedData, materials: Materials) -> None:
        training, ranks = self.trainings[name], distributed_context()
        folder, checkpoints = run.stage(self.name) / name, run.checkpoint(self.name) / name
        needed = [Artifact.read(artifact_folder(run, one)).fingerprint for one in dependencies(training)]
        made_with = (self.trainer, self.seed, self.limit, self.overfit)
        mark = fingerprint(training, *made_with, data.fingerprint, materials.fingerprint, *needed)
        if ranks.decide(lambda: is_fresh(folder, mark) and is_whole(folder)):
            log.info("%s/%s: up to date", self.name, name)
            return
        ranks.decide(lambda: _begin(folder, checkpoints, mark))
        lightning.seed_everything(training.get("seed", self.seed), verbose=False)
        log.info("%s/%s: training", self.name, name)
        with reading_run(run):
            self._train(name, training, run, data, materials, mark)
        ranks.decide(lambda: mark_result(folder, mark))

    def _train(
        self, name: str, training: Any, run: RunFolder, data: PreparedData, materials: Materials, mark: str
    ) -> None:
        """Fit the training's system and keep its artifact and curve."""
        key, folder, checkpoints = f"train.{name}", run.stage(self.name) / name, run.checkpoint(self.name) / name
        policy: Any = OmegaConf.to_container(training.policy, resolve=True) if "policy" in training else None
        if "start" in training:
            start = artifact_folder(run, training.start)
            started = Artifact.read(start)
            recipe, model = started.recipe, load_model(start, materials).train()
            policy = policy or started.policy
        else:
            recipe: Any = OmegaConf.to_container(training.model, resolve=True)
            model = build_model(training.model, materials, f"{key}.model")
        batches: TrainingData = make(training.data, data, key=f"{key}.data")
        batches.overfit = self.overfit
        given = batches.system_arguments()
        if policy is not None:
            given["policy"] = make_policy(policy, f"{key}.policy")
        system = make(training.system, model, key=f"{key}.system", **given)
        fitted = fit(
            system,
            batches,
            make(training.schedule, key=f"{key}.schedule"),
            checkpoints,
            trainer=make(self.trainer, key="trainer"),
            limit=self.limit,
            profiler=self.profiler,
        )
        declared = declaration(system)
        left = Artifact(
            name=name,
            kind=declared.artifact,
            fingerprint=mark,
            materials=materials.fingerprint,
            recipe=recipe,
            policy=policy,
            monitor=declared.monitor,
            mode=declared.mode,
            score=fitted.score,
        )

        def keep() -> None:
            """Write the curve, then the artifact."""
            folder.mkdir(parents=True, exist_ok=True)
            write_parquet(folder / HISTORY_FILE, fitted.history)
            save_artifact(left, model, folder)

        distributed_context().decide(keep)

    def _forget_others(self, run: RunFolder, order: list[str]) -> None:
        """Take away trainings that are configured no more, and keep the order of the others."""
        for folder in (*run.stage(self.name).glob("*/"), *run.checkpoint(self.name).glob("*/")):
            if folder.name not in self.trainings:
                shutil.rmtree(folder)
        write_json(training_order_file(run), order)

    def _gather_history(self, run: RunFolder, order: list[str]) -> None:
        """Write the curves of all trainings as one table, the training before the metric's name."""
        parts = [
            pl.read_parquet(run.stage(self.name) / name / HISTORY_FILE, glob=False).with_columns(
                metric=pl.lit(f"{name}/") + pl.col("metric")
            )
            for name in order
        ]
        if parts:
            write_parquet(run.stage(self.name) / HISTORY_FILE, pl.concat(parts))


def _check_policy(key: str, training: DictConfig) -> None:
    """Refuse a policy that stands in the system or that the system does not take."""
    if "policy" in training.get("system", {}):
        raise ConfigurationError(
            f"{key}.system.policy: write it as {key}.policy; who loads what the training leaves gets this policy"
        )
    if "policy" in training:
        target = training.system.get("_target_")
        if "policy" not in (parameters(locate(f"{key}.system._target_", target)) or {}):
            raise ConfigurationError(f"{key}.policy: {target} takes no policy; leave the key out")


def _check_artifacts(key: str, training: DictConfig) -> None:
    """Refuse item vectors where a model is expected, and a model where vectors are."""
    for one in named_artifacts(training):
        if one.target is None or one.name is None:
            continue
        annotation = (parameters(locate(f"{key}.{one.key}", one.target)) or {})[one.key].annotation
        wanted = {part for part in (annotation, *get_args(annotation)) if inspect.isclass(part)}
        tensor = any(issubclass(part, Tensor | AbstractArray) for part in wanted)
        if wanted and tensor != (one.name == ITEM_VECTORS):
            found = "are vectors" if one.name == ITEM_VECTORS else "is a model"
            raise ConfigurationError(
                f"{key}: {one.target} cannot take the artifact '{one.name}' as {one.key}: it {found}, expected "
                f"{describe(annotation)}"
            )


def _check_data(key: str, training: DictConfig, config: DictConfig) -> None:
    """Refuse a data module of other data than the run prepares."""
    module, kind = training.get("data"), prepared_kind(config)
    if module is None or kind is None or "_target_" not in module:
        return
    wanted = first_argument(locate(f"{key}.data._target_", module["_target_"]), module)
    if wanted is not None and not issubclass(kind, wanted):
        raise ConfigurationError(
            f"{key}.data: {module['_target_']} reads {describe(wanted)}, `data` prepares {describe(kind)}; choose a "
            f"data module of these, or leave the training out (~{key})"
        )


def _check_parts(training: DictConfig) -> None:
    """Make, and forget, the parts that depend on nothing that the run makes: a wrong value is found before an hour."""
    with torch.random.fork_rng(devices=[]):
        for part in (training.get("schedule"), *training.get("system", {}).values()):
            ready = isinstance(part, DictConfig) and "_target_" in part and not named_artifacts(part)
            if ready and not part.get("_partial_", False) and not any(incomplete(part)):
                make(part)


def _check_objective(key: str, training: DictConfig) -> None:
    """Refuse an objective of groups that needs what the system does not give it: a reference, a way of sampling."""
    system = training.get("system", {})
    objective, sampler = system.get("objective"), system.get("sampler")
    if not isinstance(objective, DictConfig) or named_artifacts(objective) or any(incomplete(objective)):
        return
    if first_argument(locate(f"{key}.objective._target_", objective["_target_"]), objective) is not Rollout:
        return
    inclusion = sampler is None or not isinstance(make(sampler), WITHOUT_INCLUSION)
    try:
        try_objective(make(objective), system.get("slots", 1), system.get("reference") is not None, inclusion)
    except RequestError as error:
        raise PartError(f"{key}.objective", str(error)) from error
    except Exception as error:  # an objective of another package may need more than the smallest rollout has
        log.debug("%s.objective: %s", key, error)


def _begin(folder: Path, checkpoints: Path, mark: str) -> None:
    """Take away what another training of the name left, and its checkpoints: `fit` goes on from what it finds."""
    for name in (FINGERPRINT_FILE, ARTIFACT_FILE):
        (folder / name).unlink(missing_ok=True)
    if not is_fresh(checkpoints, mark):
        shutil.rmtree(checkpoints, ignore_errors=True)
        checkpoints.mkdir(parents=True)
        mark_fresh(checkpoints, mark)
