"""Find the keys of a configuration that nothing reads."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from recsys.config.folders import configuration_folder
from recsys.config.settings import RunSettings
from recsys.config.suggest import suggestion

INNERMOST = re.compile(r"\$\{([^${}]*)\}")
RESOLVERS_OF_KEYS = ("oc.select", "oc.dict.keys", "oc.dict.values", "oc.deprecated")


def unused_keys(config: DictConfig) -> list[str]:
    """Return one line for each value that nothing reads.

    Values in `stage`, the settings, and the parts listed in `provides` are read. What is listed in `provides` and is no
    part has keys of its own: those that a file of `conf/` writes or reads may stay unread, because another choice may
    read them. Other values must be the target of an interpolation.
    """
    tree = OmegaConf.to_container(config, resolve=False)
    assert isinstance(tree, dict)
    everything = dict(leaves(tree))
    provided = RunSettings.of(config).provides
    plain = [one for one in provided if isinstance(tree.get(one), dict) and "_target_" not in tree[one]]
    read = ["stage", *RunSettings.names(), *(one for one in provided if one not in plain)]
    for place in read:
        for path, value in everything.items():
            if covers(place, path) and isinstance(value, str):
                read += [one for one in interpolated_keys(value, path) if one not in read]
    roots = {str(key) for key in tree} | set(RunSettings.names())
    faults = []
    for path in everything:
        if any(covers(place, path) for place in read):
            continue
        root = path.partition(".")[0]
        known = keys_in_files(root) if root in plain else frozenset[str]()
        if not any(covers(one, path) for one in known):
            faults.append(f"{path}: nothing reads this key; {suggestion(path, known or roots - {path})}")
    return faults


@functools.cache
def keys_in_files(root: str) -> frozenset[str]:
    """Return the keys below a top-level key that a file of `conf/` writes, or refers to.

    Args:
        root: the top-level key.

    >>> sorted(keys_in_files("learner"))[:3]
    ['learner.affinity', 'learner.affinity._target_', 'learner.affinity.path']
    """
    found: set[str] = set()
    for file in configuration_folder().rglob("*.yaml"):
        text = file.read_text()
        found |= set(re.findall(rf"\$\{{({root}\.[\w.]+)", text))
        tree = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
        paths = [path for path, _ in leaves(tree)]
        found |= {path for path in paths if path.startswith(f"{root}.")}
        if file.parent.name == root and "@package" not in text:
            found |= {f"{root}.{path}" for path in paths}
    return frozenset(found)


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the full key and the value of every leaf; an empty container is a leaf.

    >>> dict(leaves({"a": {"b": [7, 8]}, "c": {}}))
    {'a.b.0': 7, 'a.b.1': 8, 'c': {}}
    """
    if isinstance(tree, dict | list) and tree:
        pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
        for key, child in pairs:
            yield from leaves(child, f"{path}.{key}" if path else str(key))
    else:
        yield path, tree


def covers(place: str, path: str) -> bool:
    """Return whether `path` is `place` or lies below it.

    >>> covers("data", "data.root"), covers("data", "database"), covers("", "data")
    (True, False, True)
    """
    return not place or path == place or path.startswith(f"{place}.")


def interpolated_keys(value: str, path: str) -> list[str]:
    """Return the full keys that the interpolations in `value`, at `path`, refer to.

    >>> interpolated_keys("${a.b}/${..c} and ${oc.select:d,1}", "x.y.z")
    ['a.b', 'x.c', 'd']
    >>> interpolated_keys("${models.${kind}}", "x")
    ['kind', 'models']
    """
    found: list[str] = []
    while matches := INNERMOST.findall(value):
        found += [_absolute(one, path) for one in map(_key, matches) if one is not None]
        value = INNERMOST.sub("*", value)
    return found


def _key(inside: str) -> str | None:
    """Return the key that an interpolation refers to, up to a nested interpolation; None if it refers to no key."""
    if ":" in inside:
        resolver, _, arguments = inside.partition(":")
        if resolver.strip() not in RESOLVERS_OF_KEYS:
            return None
        inside = arguments.split(",")[0]
    return re.sub(r"\[([^]]*)\]", r".\1", inside.strip()).partition("*")[0]


def _absolute(key: str, path: str) -> str:
    name = key.lstrip(".")
    up = len(key) - len(name)
    around = path.split(".")[:-up] if up else []
    return ".".join([*around, *name.rstrip(".").split(".")]).rstrip(".")
