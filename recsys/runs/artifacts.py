"""Artifacts: what the trainings of a run leave, found by name, loaded, and used as parts of a configuration.

A configuration names an artifact like any other part, for instance where a reward needs one:

```yaml
reward:
  _target_: recsys.rewards.frozen_model.CollaborativeReward
  scorer: {_target_: recsys.runs.artifacts.artifact, name: sasrec}
```

The training that is configured so depends on `sasrec`: it comes after it, and is made anew when `sasrec` is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from omegaconf import DictConfig, ListConfig
from safetensors import SafetensorError, safe_open
from torch import nn

from recsys.atomic import write_json, write_tensors
from recsys.checksums import check_folder
from recsys.config.signature import locate
from recsys.config.suggest import suggestion
from recsys.config.type_check import describe, first_argument
from recsys.data.datasets.preparation import Materials
from recsys.errors import ConfigurationError, RequestError
from recsys.instantiation import make
from recsys.models.generators.generator import Generator
from recsys.policies.generative import GenerativePolicy
from recsys.policies.network_policy import NetworkPolicy
from recsys.runs.fingerprint import FINGERPRINT_FILE, check_result, marked_files
from recsys.runs.materials import load_materials
from recsys.runs.run_folder import RunFolder
from recsys.stored import Trusted, check_stored, trusting
from recsys.types.artifact_kind import ArtifactKind

ARTIFACT_FILE = "artifact.json"
WEIGHTS_FILE = "weights.safetensors"
ITEM_VECTORS = "item_vectors"
"""Name of the artifact that the stage `tokenize` leaves."""


@dataclass(frozen=True)
class Artifact:
    """What one training left in its folder: weights, how to build what they belong to, and how good it is.

    Args:
        name: unique in the run; the row of every table.
        kind: what it is.
        fingerprint: of everything it was made from; a training that reads it is made anew when this changes.
        materials: fingerprint of what the model was built from.
        recipe: configuration of a function that builds the model, given the materials; None for item vectors.
        monitor: the validation metric that chose the weights; None where nothing was chosen.
        mode: whether the metric is better when larger (`max`) or smaller (`min`).
        score: value of the metric for these weights.
        weights: where they lie, relative to the folder.
        policy: configuration of a function that makes a policy of the model, a network that generates; None for
            `GenerativePolicy`, and where the model is no such network.
    """

    name: str
    kind: ArtifactKind
    fingerprint: str
    materials: str
    recipe: Mapping[str, Any] | None = None
    monitor: str | None = None
    mode: Literal["max", "min"] = "max"
    score: float | None = None
    weights: str = WEIGHTS_FILE
    policy: Mapping[str, Any] | None = None

    def write(self, folder: Path) -> None:
        """Write the description, the last file of an artifact: an artifact is there when this file is."""
        write_json(folder / ARTIFACT_FILE, vars(self), indent=1)

    @classmethod
    def read(cls, folder: Path) -> Artifact:
        """Read the description in a folder.

        Raises:
            RequestError: there is none, it is damaged, or it names foreign code (`recsys.stored`).
        """
        file = folder / ARTIFACT_FILE
        if not file.exists():
            raise RequestError(
                f"{file} does not exist: that training has not finished; run the command that made the run again"
            )
        check_result(folder)
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
            found = cls(**{**stored, "kind": ArtifactKind(stored["kind"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise RequestError(f"{file} is damaged ({error}): run the same training again") from error
        for key in ("recipe", "policy"):
            check_stored(getattr(found, key), file, key)
        return found


def save_artifact(artifact: Artifact, model: nn.Module, folder: Path) -> None:
    """Keep a model's weights and description; the folder is made where it is absent."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / artifact.weights, model.state_dict())
    artifact.write(folder)


def is_whole(folder: Path) -> bool:
    """Return whether a folder holds an artifact with its weights."""
    return (folder / ARTIFACT_FILE).exists() and (folder / Artifact.read(folder).weights).exists()


def training_order_file(run: RunFolder) -> Path:
    """Return the file that lists the run's trainings in the order in which they are made."""
    return run.path / "stages" / "train" / "order.json"


def artifact_folders(run: RunFolder) -> dict[str, Path]:
    """Return the folder of every artifact of a run by its name, in the order of the trainings.

    Raises:
        RequestError: an artifact that was finished is gone, or the order is damaged.
    """
    file = training_order_file(run)
    marked = [one.parent / ARTIFACT_FILE for one in run.path.glob(f"stages/train/*/{FINGERPRINT_FILE}")]
    listed = [one for one in marked_files(file.parent) if one.name == ARTIFACT_FILE]
    for one in (*listed, *marked):
        if not one.exists():
            raise RequestError(f"{one} is gone: run the command that made the run again, it is made anew")
    try:
        order: list[str] = json.loads(file.read_text()) if file.exists() else []
    except ValueError as error:
        raise RequestError(f"{file} is damaged ({error}): run the command that made the run again") from error
    folders = {one.parent.name: one.parent for one in sorted(run.path.glob(f"stages/*/*/{ARTIFACT_FILE}"))}
    return dict(sorted(folders.items(), key=lambda one: order.index(one[0]) if one[0] in order else -1))


def artifact_folder(run: RunFolder, name: str) -> Path:
    """Return the folder of an artifact.

    Raises:
        ConfigurationError: the run has none of that name.
    """
    folders = artifact_folders(run)
    if name not in folders:
        raise ConfigurationError(f"there is no artifact '{name}' in {run.path}; {suggestion(name, folders)}")
    return folders[name]


def artifacts(run: RunFolder, kind: ArtifactKind | None = None) -> list[Artifact]:
    """Return the artifacts of a run, of one kind or of all, in the order of the trainings."""
    found = [Artifact.read(folder) for folder in artifact_folders(run).values()]
    return [one for one in found if kind in (None, one.kind)]


def best_artifact(among: Sequence[Artifact]) -> Artifact:
    """Return the artifact with the best score, the first of several; one that is absent or not finite is the worst.

    Raises:
        ConfigurationError: there is none, or they were not all chosen by the same metric and mode.
    """
    if not among:
        raise ConfigurationError("no training left a policy to choose from")
    first = among[0]
    for other in among[1:]:
        if (other.monitor, other.mode) != (first.monitor, first.mode):
            raise ConfigurationError(
                f"'{first.name}' was chosen by {first.monitor} ({first.mode}) and '{other.name}' by {other.monitor} "
                f"({other.mode}): they cannot be compared; name the one that is meant"
            )
    sign = 1 if first.mode == "max" else -1

    def rank(one: Artifact) -> float:
        """Return the score where more is better; the lowest where there is none."""
        return float("-inf") if one.score is None or not math.isfinite(one.score) else sign * one.score

    return max(among, key=rank)


def build_model(recipe: Mapping[str, Any] | DictConfig, materials: Materials, key: str = "model") -> nn.Module:
    """Build a model.

    Args:
        recipe: configures a function that takes the materials.
        materials: what the model is built from.
        key: full key of the recipe, for messages.

    Raises:
        ConfigurationError: the function takes other materials than the run has.
    """
    wanted = first_argument(locate(f"{key}._target_", recipe["_target_"]), recipe)
    if wanted is not None and not isinstance(materials, wanted):
        raise ConfigurationError(
            f"{key}: {recipe['_target_']} is built from {describe(wanted)}, the run has {type(materials).__name__}; "
            "with `tokenize` in `stages` it has an ItemBundle, without it what `data` prepares"
        )
    return make(recipe, materials, key=key)


def make_policy(
    recipe: Mapping[str, Any] | DictConfig, key: str = "policy"
) -> Callable[[Generator[Any, Any]], NetworkPolicy]:
    """Return the function that makes a policy of a network.

    Args:
        recipe: configures the function.
        key: full key of the recipe, for messages.
    """
    return partial(make, recipe, key=key)


def load_model(folder: Path, materials: Materials) -> nn.Module:
    """Build the model of an artifact with its weights, as the recipe makes it, neither frozen nor in evaluation mode.

    Items that joined the materials since are served as well where the model can (`for_new_items`).

    Raises:
        RequestError: nothing was trained there, or the model was built from other materials.
    """
    artifact = Artifact.read(folder)
    assert artifact.recipe is not None, "only item vectors have no recipe, and no training starts from them"
    materials.check(artifact.materials)
    model = build_model(artifact.recipe, materials, f"{folder / ARTIFACT_FILE}: recipe")
    weights = read_weights(folder / artifact.weights)
    if artifact.materials != materials.fingerprint and isinstance(model, Generator):
        weights = model.for_new_items(weights)
    model.load_state_dict(weights)
    return model


def read_weights(file: Path) -> dict[str, Any]:
    """Return the tensors of a safetensors file by name.

    Raises:
        RequestError: the file is not there, or damaged.
    """
    if not file.exists():
        raise RequestError(f"{file} is gone: run the same training again, or name another one")
    check_folder(file.parent, "run the same training again")
    try:
        with safe_open(file, framework="pt") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise RequestError(f"{file} is damaged ({error}): run the same training again") from error


def load(run: RunFolder | Path | str, name: str, modules: Sequence[str] = ()) -> Any:
    """Return what a training of a run left, frozen and in evaluation mode.

    Args:
        run: a folder that `recsys train` left.
        name: of the training; `item_vectors` for the vectors that the run's semantic IDs were made from.
        modules: beside this package, whose classes and functions the run folder may name. Nothing else is imported.

    Returns:
        A policy that answers requests, for a policy (a network that generates becomes the policy that the training's
        configuration names, `GenerativePolicy` where it names none); the module for a reward model, a value function or
        a posterior; a tensor `[N, D]` for item vectors.

    Raises:
        ConfigurationError: the run has no artifact of that name.
        RequestError: its weights belong to other items or slates than the run holds now, or a file of it names code of
            other modules.
    """
    folder = run if isinstance(run, RunFolder) else RunFolder(Path(run))
    with trusting(Trusted(modules=frozenset(modules))):
        return _load(folder, name)


def _load(folder: RunFolder, name: str) -> Any:
    place = artifact_folder(folder, name)
    artifact = Artifact.read(place)
    if artifact.kind is ArtifactKind.ITEM_VECTORS:
        return read_weights(place / artifact.weights)["vectors"]
    with torch.random.fork_rng(devices=[]):  # initial weights are drawn, and replaced
        model = load_model(place, load_materials(folder)).requires_grad_(False).eval()
    if artifact.kind is ArtifactKind.POLICY and isinstance(model, Generator):
        if artifact.policy is None:
            return GenerativePolicy(model).eval()
        return make_policy(artifact.policy, f"{place / ARTIFACT_FILE}: policy")(model).eval()
    return model


_RUN: ContextVar[RunFolder] = ContextVar("run")


@contextmanager
def reading_run(run: RunFolder) -> Iterator[None]:
    """Let `artifact` read from this run inside the block."""
    token = _RUN.set(run)
    try:
        yield
    finally:
        _RUN.reset(token)


def artifact(name: str) -> Any:
    """Return another artifact of the run, as `load` does; for use in the configuration of a training.

    Args:
        name: of the artifact; `item_vectors` for the vectors that the semantic IDs were made from.

    Raises:
        ConfigurationError: there is no such artifact, or this was not called from the configuration of a training.
    """
    try:
        run = _RUN.get()
    except LookupError:
        raise ConfigurationError(
            f"artifact '{name}': recsys.runs.artifacts.artifact belongs into the configuration of a training; "
            "elsewhere call recsys.load(run, name)"
        ) from None
    return load(run, name)


@dataclass(frozen=True)
class NamedArtifact:
    """A place of a configuration that names an artifact by `artifact`.

    Args:
        name: of the artifact; None where the place lacks the key `name`.
        key: the argument that gets the artifact.
        target: dotted name of the class or function that gets it; None inside lists and plain dictionaries.
    """

    name: str | None
    key: str
    target: str | None


def named_artifacts(node: Any, key: str = "", target: str | None = None) -> list[NamedArtifact]:
    """Return the places of a configuration that name artifacts, in their order.

    Args:
        node: a configuration or a part of one.
        key: of the node in what holds it.
        target: `_target_` of what holds it.
    """
    if isinstance(node, Mapping | DictConfig):
        own = node.get("_target_")
        if own == f"{__name__}.{artifact.__name__}":
            return [NamedArtifact(str(node["name"]) if "name" in node else None, key, target)]
        return [one for name, value in node.items() for one in named_artifacts(value, str(name), own)]
    every = node if isinstance(node, list | ListConfig) else []
    return [one for value in every for one in named_artifacts(value, key)]
