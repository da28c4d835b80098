"""Validate a whole configuration before anything runs: every key against the signature of its target."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from recsys.config.former_names import renamed_faults
from recsys.config.numbers import number_faults
from recsys.config.part_kind import part_faults
from recsys.config.settings import RunSettings
from recsys.config.signature import argument_faults, join_key, locate, missing_faults, value_faults
from recsys.config.suggest import suggestion
from recsys.config.type_check import parameters
from recsys.config.unused_keys import unused_keys
from recsys.errors import ConfigurationError
from recsys.ranges import RangeError, at_least, is_seed


def validate(config: DictConfig) -> None:
    """Raise an error if the configuration of a run has a wrong key or value. One message lists all faults.

    - Stages that are not in `stages` are not checked.
    - Below a node with `_recursive_: false` the code instantiates the parts and adds arguments. There unknown keys and
      wrong types are faults, missing keys are not.
    - The keys of a plain dictionary are checked if the annotation of its argument is a `TypedDict`.

    Raises:
        ConfigurationError: a key or a value is wrong. The message has one line for each fault, with the full key, what
            was found, what was expected, and the nearest valid key.
    """
    faults = list(renamed_faults(config)) or list(setting_faults(config))
    if faults:
        raise ConfigurationError("\n".join(faults))
    faults += stage_faults(config)
    for path, node in nodes(config):
        if not _idle(path, config):
            faults += node_faults(path, node)
    if not faults:
        for path, node in nodes(config):
            if "_target_" in node and not _idle(path, config):
                faults += number_faults(node, path)
        for name in RunSettings.of(config).stages:
            faults += incomplete(config.stage[name])
    faults += unused_keys(config)
    if faults:
        raise ConfigurationError("\n".join(dict.fromkeys(faults)))


def setting_faults(config: DictConfig) -> Iterator[str]:
    """Yield the settings of the wrong type, and limits below one batch."""
    known = parameters(RunSettings) or {}
    for name in RunSettings.names():
        if name in config:
            yield from value_faults(name, config, name, known[name].annotation)
    for check, key in ((partial(at_least, 1), "limit"), (partial(at_least, 1), "overfit"), (is_seed, "seed")):
        value = config.get(key)
        if isinstance(value, int):
            try:
                check(**{key: value})
            except RangeError as error:
                yield str(error)


def nodes(node: DictConfig | ListConfig, path: str = "") -> Iterator[tuple[str, DictConfig]]:
    """Yield every dictionary of the tree with its full key. Interpolations are not followed."""
    if isinstance(node, DictConfig):
        yield path, node
    for key in keys(node):
        if not OmegaConf.is_interpolation(node, key) and not OmegaConf.is_missing(node, key):
            child = node[key]
            if isinstance(child, DictConfig | ListConfig):
                yield from nodes(child, join_key(path, key))


def keys(node: DictConfig | ListConfig) -> list[Any]:
    """Return the keys of a dictionary or the indices of a list."""
    return list(node) if isinstance(node, DictConfig) else list(range(len(node)))


def node_faults(path: str, node: DictConfig) -> Iterator[str]:
    """Yield the faults of the keys of one node."""
    if "_target_" in node:
        try:
            target = locate(join_key(path, "_target_"), node["_target_"])
            yield from argument_faults(target, node, path)
            yield from package_faults(target, path)
            yield from part_faults(target, node, path)
        except ConfigurationError as error:
            yield str(error)
        return
    for key in node:
        if OmegaConf.is_missing(node, key):
            yield f"{join_key(path, key)}: must be given"


def package_faults(target: Any, path: str) -> Iterator[str]:
    """Yield the packages that a class says it needs (`requires`: how to install each) and that are not installed."""
    for package, how in getattr(target, "requires", {}).items():
        if package not in sys.modules and find_spec(package) is None:
            yield f"{path}: {target.__name__} needs the package {package}, which is not installed: {how}"


def incomplete(node: DictConfig | ListConfig) -> Iterator[str]:
    """Yield the missing arguments of all calls that instantiating `node` makes. Interpolations are followed."""
    if isinstance(node, DictConfig) and "_target_" in node:
        path = node._get_full_key(None)
        yield from missing_faults(locate(join_key(path, "_target_"), node["_target_"]), node, path)
        if not node.get("_recursive_", True):
            return
    for key in keys(node):
        try:
            child = node[key]
        except OmegaConfBaseException as error:
            yield f"{join_key(node._get_full_key(None), key)}: {str(error).splitlines()[0]}"
            continue
        if isinstance(child, DictConfig | ListConfig):
            yield from incomplete(child)


def stage_faults(config: DictConfig) -> Iterator[str]:
    """Yield the faults of listed stages: they do not exist, have no target, or are listed twice."""
    known = config.get("stage") or {}
    names = RunSettings.of(config).stages
    for name in dict.fromkeys(names):
        if name not in known:
            yield f"stages: there is no stage.{name}; {suggestion(name, map(str, known))}"
        elif "_target_" not in known[name]:
            yield f"stage.{name}._target_: missing, it names the stage's class"
        if names.count(name) > 1:
            yield f"stages: '{name}' is listed {names.count(name)} times, expected once"


def _idle(path: str, config: DictConfig) -> bool:
    """Return whether the node belongs to a stage that does not run."""
    parts = path.split(".")
    return parts[0] == "stage" and len(parts) > 1 and parts[1] not in RunSettings.of(config).stages
