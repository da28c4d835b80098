"""Walk every number of every configuration, and tell which wrong values are refused before anything runs.

`python -m tests.number_walk` writes what it found as JSON. It is a process of its own, because the check of types that
the tests switch on refuses the stand-ins of `recsys.config.numbers` before a part can look at its numbers.
"""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator
from typing import Any, Union, get_args, get_origin

from omegaconf import DictConfig, OmegaConf

from recsys.config.compose import compose
from recsys.config.numbers import number_faults
from recsys.config.signature import locate
from recsys.config.type_check import fits, parameters
from recsys.config.unused_keys import leaves
from recsys.config.validate import nodes
from tests.options import CONF, PLANTED, RERE, SIMULATOR, SLATE

WRONG: dict[str, float] = {
    "negative": -7,
    "zero": 0,
    "nan": float("nan"),
    "infinite": float("inf"),
    "huge": 10**12,
}
MODELS = "policy=[random,model_greedy,model_epsilon_greedy]"
ESTIMATORS = "estimator=[ips,sequential_dm,per_decision_ips,position_based]"
COMPOSED = [
    ("train", [RERE]),
    ("train", ["experiment=rere/movielens_1m", "objective@train.rere.system.objective=mixture"]),
    ("train", [SLATE]),
    ("train", [SIMULATOR, PLANTED, "choice=cascade", "dynamics=reinforcing"]),
    ("bench", [PLANTED, MODELS, "choice=position_based", "dynamics=gamma_linear"]),
    ("replay", [ESTIMATORS, "model=fitted_q", "estimators.position_based.weights.examination=[1.0,0.5]"]),
]
"""Configurations in which every number that is written at one key and read at another is read."""


def main() -> None:
    """Write `{"arguments": {target.name: {kind: message}}, "keys": {key: message}}`."""
    arguments: dict[str, dict[str, str | None]] = {}
    for path in sorted(CONF.rglob("*.yaml")):
        config = OmegaConf.create(plain(OmegaConf.to_container(OmegaConf.load(path), resolve=False)))
        for key, node in nodes(config):
            if str(node.get("_target_", "")).startswith("recsys."):
                for name, annotation in numbers(node):
                    place = f"{node['_target_']}.{name}"
                    if place not in arguments:
                        arguments[place] = tried(node, key, name, annotation)
    keys: dict[str, str | None] = {}
    for command, overrides in COMPOSED:
        config = compose(overrides, command)
        OmegaConf.set_struct(config, False)
        for key, value in number_leaves(config):
            if not key.startswith("stage.") and keys.get(f"{command} {key}") is None:
                keys[f"{command} {key}"] = fault_of(config, key, value)
    json.dump({"arguments": arguments, "keys": keys}, sys.stdout)


def plain(value: Any) -> Any:
    """Return a configuration without what only a whole configuration resolves."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {name: one for name, one in value.items() if name != "defaults" and one != "???"}
    return {name: plain(one) for name, one in kept.items() if not (isinstance(one, str) and "${" in one)}


def numbers(node: DictConfig) -> Iterator[tuple[str, Any]]:
    """Yield the arguments of a node's target that are numbers, given or at their default."""
    for name, parameter in (parameters(locate("", node["_target_"])) or {}).items():
        annotation = parameter.annotation
        members = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
        if int in members or float in members:
            yield name, annotation


def tried(node: DictConfig, path: str, name: str, annotation: Any) -> dict[str, str | None]:
    """Return what is said of each wrong value of an argument; None where it is accepted."""
    said: dict[str, str | None] = {"words": None if fits("many", annotation) else "refused by its type"}
    here, before = name in node, node.get(name)
    for kind, value in WRONG.items():
        if not fits(value, annotation):
            said[kind] = "refused by its type"
            continue
        node[name] = value
        said[kind] = next((one for one in number_faults(node, path) if f"{name}={value}" in one), None)
        if here:
            node[name] = before
        else:
            del node[name]
    return said


def number_leaves(config: DictConfig) -> Iterator[tuple[str, float]]:
    """Yield the keys whose value is a number, and not an interpolation."""
    tree = OmegaConf.to_container(config, resolve=False)
    for key, value in leaves(tree):
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield key, value


def fault_of(config: DictConfig, key: str, value: float) -> str | None:
    """Return what is said of a configuration in which one number is wrong; None where nothing is."""
    wrong = float("nan") if isinstance(value, float) else -7
    OmegaConf.update(config, key, wrong)
    read = ((path, node) for path, node in nodes(config) if "_target_" in node)
    found = (line for path, node in read for line in number_faults(node, path) if f"={wrong}" in line)
    said = next(found, None)
    OmegaConf.update(config, key, value)
    return said


if __name__ == "__main__":
    main()
