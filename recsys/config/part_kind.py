"""Check that the class of a part is of the kind that its place needs."""

from __future__ import annotations

import inspect
import types
from collections import abc
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from recsys.config.folders import configuration_folder
from recsys.config.signature import join_key, locate
from recsys.config.type_check import describe, parameters
from recsys.config.written import written_keys
from recsys.errors import ConfigurationError


def part_faults(target: Callable[..., Any], node: DictConfig, path: str) -> Iterator[str]:
    """Yield the parts of `node` that are of another kind than `target` annotates the argument with.

    Protocols and callables are checked: whether a class has the methods, and whether a function that is configured with
    `_partial_: true` is one of what its place calls it with. Parts that a function or a class method makes, and
    arguments with any other annotation, are not checked.
    """
    for name, parameter in (parameters(target) or {}).items():
        if name not in node or OmegaConf.is_missing(node, name):
            continue
        try:
            part = node[name]
        except OmegaConfBaseException:
            continue  # told with the value itself
        if not isinstance(part, DictConfig) or "_target_" not in part:
            continue
        place = join_key(path, name)
        root = node._get_root()
        written = written_keys(root, place)[-1] if isinstance(root, DictConfig) else place
        try:
            made = locate(join_key(written, "_target_"), part["_target_"])
        except ConfigurationError:
            continue  # told where the part itself is checked
        if not fits_place(made, part, parameter.annotation):
            kinds = " or ".join(map(_in_words, _members(parameter.annotation)))
            options = _options(written, parameter.annotation)
            lacks = _lacks(made, _members(parameter.annotation))
            choose = f"; it has no {lacks}" if lacks else ""
            choose += f"; choose {options}" if options else ""
            yield f"{written}: {made.__name__} is of another kind than {place} needs, which is {kinds}{choose}"


def option_fits(config: DictConfig, package: str, group: str, option: str) -> bool:
    """Return whether an option of a group is of the kind that a key of a configuration needs; True if this is unknown.

    Args:
        config: the configuration.
        package: the key.
        group: of the option, a folder of `conf/`.
        option: its name.
    """
    parent, _, name = package.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else None
    part = _load(configuration_folder() / group / f"{option}.yaml")
    if not isinstance(node, DictConfig) or "_target_" not in node or part is None:
        return True
    try:
        known = parameters(locate(parent, node["_target_"])) or {}
        made = locate(group, part["_target_"])
    except ConfigurationError:
        return True
    return name not in known or fits_place(made, part, known[name].annotation)


def fits_place(made: Any, part: Mapping[Any, Any], annotation: Any) -> bool:
    """Return whether what a part names is of the kind of an annotation; what cannot be known fits.

    Args:
        made: the class or the function.
        part: the configuration that names it.
        annotation: of the argument that it is given as.
    """
    members = _members(annotation)
    known = all(_is_protocol(one) or _is_callable(one) for one in members)
    return not members or not known or any(_fits_member(made, part, one) for one in members)


def _members(annotation: Any) -> list[Any]:
    """Return the members of a union without None, or the annotation alone."""
    found = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    return [one for one in found if one not in (None, type(None))]


def _is_protocol(annotation: Any) -> bool:
    return inspect.isclass(annotation) and getattr(annotation, "_is_protocol", False) and not get_args(annotation)


def _is_callable(annotation: Any) -> bool:
    return get_origin(annotation) is abc.Callable


def _fits_member(made: Any, part: Mapping[Any, Any], member: Any) -> bool:
    """Return whether a part is of one protocol or one kind of callable."""
    if part.get("_partial_", False) is True:
        called = _called_with(member)
        return called is not None and _takes(made, part, called[0]) and _returns(made, called[1])
    if not inspect.isclass(made):
        return True
    if _is_callable(member):
        return any("__call__" in vars(one) for one in made.__mro__)
    try:
        return issubclass(made, member)
    except TypeError:  # a protocol with attributes, which are set when an object is made
        return all(callable(getattr(made, one, None)) for one in _methods(member))


def _lacks(made: Any, members: list[Any]) -> str:
    """Return the methods that a class lacks of the only protocol; empty where it lacks none."""
    if len(members) != 1 or not _is_protocol(members[0]) or not inspect.isclass(made):
        return ""
    return ", ".join(name for name in _methods(members[0]) if not callable(getattr(made, name, None)))


def _methods(protocol: type) -> list[str]:
    """Return the methods of a protocol by name."""
    found = [name for base in protocol.__mro__ for name, one in vars(base).items() if inspect.isfunction(one)]
    return [name for name in found if name == "__call__" or not name.startswith("_")]


def _called_with(member: Any) -> tuple[Any, Any] | None:
    """Return what a place calls its part with first, and what it expects back; None if it does not call it."""
    if _is_callable(member):
        arguments, result = get_args(member) or (..., Any)
        return (arguments[0] if isinstance(arguments, list) and arguments else Any), result
    if "__call__" not in vars(member):
        return None
    known = parameters(member.__call__) or {}
    hints = [one.annotation for name, one in known.items() if name != "self"]
    return (hints[0] if hints else Any), Any


def _takes(made: Any, part: Mapping[Any, Any], wanted: Any) -> bool:
    """Return whether the first argument that is not configured may be of a class."""
    known = (parameters(made) or {}).items()
    first = next((one.annotation for name, one in known if name not in part and one.kind is not one.KEYWORD_ONLY), Any)
    return _related(first, wanted)


def _returns(made: Any, wanted: Any) -> bool:
    """Return whether what a call makes may be of a class; what a class method makes is not looked at."""
    if inspect.isclass(made):
        return _related(made, wanted)
    if inspect.ismethod(made):
        return True
    try:
        return _related(get_type_hints(made).get("return", Any), wanted)
    except (NameError, TypeError, AttributeError):
        return True


def _related(first: Any, second: Any) -> bool:
    """Return whether a value may be of both annotations: they are classes, and one is a subclass of the other."""
    kinds = [get_origin(one) or one for one in (first, second)]
    unknown = (inspect.Parameter.empty, types.UnionType, object, Any)
    plain = all(inspect.isclass(one) and one not in unknown for one in kinds)
    if not plain or any(map(_is_array, kinds)):
        return True
    if any(getattr(one, "_is_protocol", False) for one in kinds):
        return not getattr(kinds[1], "_is_protocol", False) or _is_of(kinds[0], kinds[1])
    return issubclass(kinds[0], kinds[1]) or issubclass(kinds[1], kinds[0])


def _is_array(kind: type) -> bool:
    """Return whether a class stands for tensors; torch is imported here, as a refusal of a wrong key needs none."""
    from jaxtyping import AbstractArray
    from torch import Tensor

    return issubclass(kind, AbstractArray | Tensor)


def _is_of(kind: type, protocol: type) -> bool:
    try:
        return issubclass(kind, protocol)
    except TypeError:
        return True


def _options(key: str, annotation: Any) -> str:
    """Return the options, of the group that a key is named after, that are of the kind; empty where there are none."""
    group = key.rpartition(".")[2]
    names = []
    for file in sorted((configuration_folder() / group).glob("*.yaml")):
        part = _load(file)
        try:
            made = None if part is None else locate(str(file), part["_target_"])
        except ConfigurationError:
            continue
        if part is not None and fits_place(made, part, annotation):
            names.append(file.stem)
    return f"{group if group == key else f'{group}@{key}'}= one of {', '.join(names)}" if names else ""


def _load(file: Path) -> dict[Any, Any] | None:
    """Return what a file of a group configures, unresolved; None if it is no single part."""
    found = OmegaConf.to_container(OmegaConf.load(file), resolve=False) if file.exists() else None
    return found if isinstance(found, dict) and isinstance(found.get("_target_"), str) else None


def _in_words(member: Any) -> str:
    """Return a protocol or a kind of callable as text for messages."""
    if _is_callable(member):
        return f"a function like {describe(member)}"
    return f"a {member.__name__} ({_first_sentence(member)})"


def _first_sentence(kind: type) -> str:
    text = " ".join((inspect.getdoc(kind) or kind.__name__).split()).split(". ")[0].rstrip(".")
    return text[:1].lower() + text[1:]
