"""Plan a run: what each stage depends on, as one fingerprint of its configuration and its inputs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from recsys.atomic import write_json
from recsys.config.settings import LOCATION_KEYS, RunSettings
from recsys.config.validate import locate
from recsys.errors import ConfigurationError

FINGERPRINT_FILE = "fingerprint.json"


@dataclass(frozen=True)
class PlannedStage:
    """One stage of a run before it is made.

    Args:
        name: of the stage, and of its folder.
        node: its configuration.
        results: file names at the root of the run folder that it writes.
        fingerprint: hexadecimal SHA-256 of `node`, values resolved, and of the stages before it.
        incremental: whether it tells itself which parts of an older result still hold, and takes away the others.
    """

    name: str
    node: DictConfig
    results: tuple[str, ...]
    fingerprint: str
    incremental: bool = False


def plan(config: DictConfig) -> list[PlannedStage]:
    """Return the run's stages in order, each with its fingerprint; a stage depends on all stages before it.

    Raises:
        ConfigurationError: a stage has another name in `stages` than its class has, or refuses its configuration
            (`check_configuration`).
    """
    steps: list[PlannedStage] = []
    for name in RunSettings.of(config).stages:
        node = config.stage[name]
        target = locate(f"stage.{name}._target_", node["_target_"])
        own = node.get("name", getattr(target, "name", name))
        if own != name:
            raise ConfigurationError(f"stages: expected '{own}' as the name of stage.{name}, found '{name}'")
        check = getattr(target, "check_configuration", None)
        if check is not None:
            check(node, config)
        before = [step.fingerprint for step in steps]
        mark = fingerprint(OmegaConf.to_container(node, resolve=True), *before)
        results, incremental = getattr(target, "results", ()), getattr(target, "incremental", False)
        steps.append(PlannedStage(name, node, tuple(results), mark, incremental))
    return steps


def configuration_fingerprint(config: DictConfig) -> str:
    """SHA-256 of a whole configuration, values resolved, without the keys that say where the run lies."""
    tree = OmegaConf.to_container(config, resolve=True)
    assert isinstance(tree, dict)
    return fingerprint({key: value for key, value in tree.items() if key not in LOCATION_KEYS})


def fingerprint(*values: Any) -> str:
    """Hexadecimal SHA-256 of plain values or configurations; the order of keys does not matter.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    >>> fingerprint(1, 2) == fingerprint(2, 1)
    False
    """
    text = json.dumps(values, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def is_fresh(folder: Path, mark: str, marker: str = FINGERPRINT_FILE) -> bool:
    """Whether the folder holds a whole result that was made with this fingerprint."""
    try:
        return json.loads((folder / marker).read_text())["fingerprint"] == mark
    except (FileNotFoundError, ValueError, KeyError):
        return False


def mark_fresh(folder: Path, mark: str, marker: str = FINGERPRINT_FILE) -> None:
    """Say that the folder holds the result of this fingerprint: the last thing to write there."""
    write_json(folder / marker, {"fingerprint": mark})


def _plain(value: Any) -> Any:
    """JSON for what JSON does not know."""
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else str(value)
