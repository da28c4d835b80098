"""Validate a whole configuration before anything runs: every key against the signature of what it configures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from recsys.config.settings import RunSettings
from recsys.config.signature import argument_faults, join_key, locate, missing_faults, value_faults
from recsys.config.suggest import suggestion
from recsys.config.type_check import parameters
from recsys.config.unused_keys import unused_keys
from recsys.errors import ConfigurationError


def validate(config: DictConfig) -> None:
    """Refuse a run's configuration that has a wrong key anywhere; all faults in one message.

    Stages that are not listed in `stages` are not looked at. Below a node with `_recursive_: false` the code makes the
    parts and adds arguments of its own, so that there unknown keys and wrong types are faults and missing ones are not.
    Keys of a plain dictionary given to an argument are known where the argument's annotation is a `TypedDict`.

    Raises:
        ConfigurationError: a line a fault: the full key, what was found and expected, the nearest right key.
    """
    faults = list(setting_faults(config))
    if faults:
        raise ConfigurationError("\n".join(faults))
    faults += stage_faults(config)
    for path, node in nodes(config):
        if not _idle(path, config):
            faults += node_faults(path, node)
    if not faults:
        for name in RunSettings.of(config).stages:
            faults += incomplete(config.stage[name])
    faults += unused_keys(config)
    if faults:
        raise ConfigurationError("\n".join(dict.fromkeys(faults)))


def setting_faults(config: DictConfig) -> Iterator[str]:
    """Settings of the wrong type, and limits below one batch."""
    known = parameters(RunSettings) or {}
    for name in RunSettings.names():
        if name in config:
            yield from value_faults(name, config, name, known[name].annotation)
    for key in ("limit", "overfit"):
        value = config.get(key)
        if isinstance(value, int) and value < 1:
            yield f"{key}: expected at least 1 batch or null, found {value}"


def nodes(node: DictConfig | ListConfig, path: str = "") -> Iterator[tuple[str, DictConfig]]:
    """Every dictionary in the tree with its full key, each at the place where it is written, not where it is read."""
    if isinstance(node, DictConfig):
        yield path, node
    for key in keys(node):
        if not OmegaConf.is_interpolation(node, key) and not OmegaConf.is_missing(node, key):
            child = node[key]
            if isinstance(child, DictConfig | ListConfig):
                yield from nodes(child, join_key(path, key))


def keys(node: DictConfig | ListConfig) -> list[Any]:
    """Keys of a dictionary, indices of a list."""
    return list(node) if isinstance(node, DictConfig) else list(range(len(node)))


def node_faults(path: str, node: DictConfig) -> Iterator[str]:
    """What is wrong with the keys that one node has."""
    if "_target_" in node:
        try:
            yield from argument_faults(locate(join_key(path, "_target_"), node["_target_"]), node, path)
        except ConfigurationError as error:
            yield str(error)
        return
    for key in node:
        if OmegaConf.is_missing(node, key):
            yield f"{join_key(path, key)}: must be given"


def incomplete(node: DictConfig | ListConfig) -> Iterator[str]:
    """What is missing in the calls that making `node` makes; interpolations are followed to where they lead."""
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
    """Listed stages that are no node of `stage`, are listed twice or have no target."""
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
    """Whether the node belongs to a stage that does not run."""
    parts = path.split(".")
    return parts[0] == "stage" and len(parts) > 1 and parts[1] not in RunSettings.of(config).stages
