"""Refuse what had another name in an earlier version, with the name of today."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from recsys.config.renamed import GROUPS, KEYS, MOVED_ARGUMENTS, REMOVED
from recsys.config.renamed_targets import current_target
from recsys.config.signature import keyword_names, locate
from recsys.config.type_check import parameters
from recsys.config.unused_keys import leaves
from recsys.errors import ConfigurationError


def current_key(key: str) -> str | None:
    """Return the name of today of a former key, None if the key is none.

    >>> current_key("stage.rl.arms.rere.system.rollout.candidates")
    'train.rere.system.sampler.candidates'
    >>> current_key("seed") is None
    True
    """
    current = key
    while (moved := _moved(current)) is not None:
        current = moved
    return None if current == key else current


def renamed_faults(config: DictConfig) -> Iterator[str]:
    """Yield a line for each former key and each former `_target_` of a configuration, with the name of today."""
    told = set()
    for path, value in leaves(OmegaConf.to_container(config, resolve=False)):
        if path.rpartition(".")[2] == "_target_" and (target := current_target(str(value))) is not None:
            yield f"{path}: {value} is now {target}"
        short = _shortest(path)
        if short is not None and short not in told and not _is_argument(short, config):
            told.add(short)
            yield f"{short}: {_told(short)}"


def _is_argument(key: str, config: DictConfig) -> bool:
    """Return whether the class of the node that holds the key has an argument of this name, which a file may give."""
    if _matching(key, dict.fromkeys(MOVED_ARGUMENTS)) is not None:
        return False
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    target = node.get("_target_") if isinstance(node, DictConfig) else None
    if target is None or current_target(target) is not None:
        return False
    try:
        return name in keyword_names(parameters(locate(f"{parent}._target_", target)) or {})
    except ConfigurationError:
        return False


def _told(key: str) -> str | None:
    """Return what to write in place of a former key, None if the key is none."""
    removed, current = _matching(key, REMOVED), current_key(key)
    if removed is not None:
        return REMOVED[removed]
    return None if current is None else f"this key is now {current}"


def _shortest(path: str) -> str | None:
    """Return the part of a former key with which everything below it moved along; None if the key is none."""
    if (removed := _matching(path, REMOVED)) is not None:
        return ".".join(path.split(".")[: removed.count(".") + 1])
    current, parts = current_key(path), path.split(".")
    if current is None:
        return None
    for length in range(1, len(parts)):
        moved = current_key(".".join(parts[:length]))
        if moved is not None and ".".join([moved, *parts[length:]]) == current:
            return ".".join(parts[:length])
    return path


def override_faults(override: str) -> Iterator[str]:
    """Yield what to write in place of an override that names a former key or group."""
    prefix = override[: len(override) - len(override.lstrip("+~"))]
    left, equals, value = override.lstrip("+~").partition("=")
    name, at, package = left.partition("@")
    group, place = GROUPS.get(name, name), current_key(package) or package
    if (group, place) != (name, package):
        yield f"{override}: this is now {prefix}{group}{at}{place}{equals}{value}"
    elif not at and (told := _told(name)) is not None:
        yield f"{override}: {told}"


def _moved(key: str) -> str | None:
    """Return the key after one step through the table."""
    pattern = _matching(key, KEYS)
    current = KEYS[pattern] if pattern is not None else None
    if pattern is None or current is None:
        return None
    parts = key.split(".")
    names = iter(part for part, mask in zip(parts, pattern.split("."), strict=False) if mask == "*")
    head = [next(names) if mask == "*" else mask for mask in current.split(".")]
    return ".".join([*head, *parts[len(pattern.split(".")) :]])


def _matching(key: str, patterns: Mapping[str, Any]) -> str | None:
    """Return the pattern that the key, or a key above it, fits."""
    parts = key.split(".")
    for pattern in patterns:
        masks = pattern.split(".")
        if len(masks) <= len(parts) and all(mask in ("*", part) for mask, part in zip(masks, parts, strict=False)):
            return pattern
    return None
