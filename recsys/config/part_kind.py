"""Check that the class of a part is of the kind that its place needs."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any, Union, get_args, get_origin

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from recsys.config.folders import configuration_folder
from recsys.config.signature import join_key, locate
from recsys.config.type_check import parameters
from recsys.config.written import written_keys
from recsys.errors import ConfigurationError


def part_faults(target: Callable[..., Any], node: DictConfig, path: str) -> Iterator[str]:
    """Yield the parts of `node` whose class is not of the protocol that `target` annotates the argument with.

    Parts that a function or a class method makes, those with `_partial_: true`, and arguments without a protocol are
    not checked.
    """
    for name, parameter in (parameters(target) or {}).items():
        if name not in node or OmegaConf.is_missing(node, name):
            continue
        try:
            part, protocols = node[name], _protocols(parameter.annotation)
        except OmegaConfBaseException:
            continue  # told with the value itself
        if not protocols or not isinstance(part, DictConfig) or "_target_" not in part or part.get("_partial_", False):
            continue
        place = join_key(path, name)
        root = node._get_root()
        written = written_keys(root, place)[-1] if isinstance(root, DictConfig) else place
        try:
            made = locate(join_key(written, "_target_"), part["_target_"])
        except ConfigurationError:
            continue  # told where the part itself is checked
        if not _fits(made, protocols):
            kinds = " or ".join(f"a {one.__name__} ({_first_sentence(one)})" for one in protocols)
            options = _options(written, protocols)
            choose = f"; choose {options}" if options else ""
            yield f"{written}: {made.__name__} is of another kind than {place} needs, which is {kinds}{choose}"


def _protocols(annotation: Any) -> list[type]:
    """Return the protocols of an annotation, or none if it allows anything else."""
    members = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    known = [one for one in members if one not in (None, type(None))]
    return known if known and all(_is_protocol(one) for one in known) else []


def _is_protocol(annotation: Any) -> bool:
    return inspect.isclass(annotation) and getattr(annotation, "_is_protocol", False) and not get_args(annotation)


def _fits(made: Any, protocols: list[type]) -> bool:
    """Return whether a class has the methods of a protocol; what cannot be known of a class fits."""
    if not inspect.isclass(made):
        return True
    try:
        return any(issubclass(made, one) for one in protocols)
    except TypeError:
        return True


def _options(key: str, protocols: list[type]) -> str:
    """Return the options, of the group that a key is named after, that are of the kind; empty where there are none."""
    group = key.rpartition(".")[2]
    folder = configuration_folder() / group
    if not folder.is_dir():
        return ""
    names = []
    for file in sorted(folder.glob("*.yaml")):
        target = OmegaConf.to_container(OmegaConf.load(file), resolve=False).get("_target_")  # type: ignore[union-attr]
        try:
            made = locate(str(file), target)
        except ConfigurationError:
            continue
        if inspect.isclass(made) and _fits(made, protocols):
            names.append(file.stem)
    return f"{group if group == key else f'{group}@{key}'}= one of {', '.join(names)}" if names else ""


def _first_sentence(kind: type) -> str:
    text = " ".join((inspect.getdoc(kind) or kind.__name__).split()).split(". ")[0].rstrip(".")
    return text[:1].lower() + text[1:]
