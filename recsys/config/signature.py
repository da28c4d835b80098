"""Check configuration nodes against the signatures of their targets."""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, NotRequired, Required, get_args, get_origin, get_type_hints, is_typeddict

from hydra.utils import get_object
from omegaconf import DictConfig, ListConfig, Node, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from recsys.config.suggest import suggestion
from recsys.config.type_check import describe, fits, parameters
from recsys.config.unused_keys import interpolated_keys
from recsys.errors import ConfigurationError

WHOLE_INTERPOLATION = re.compile(r"\$\{[\w.]+\}")
HYDRA_KEYS = ("_target_", "_partial_", "_recursive_", "_convert_", "_args_")


def check_call(config: DictConfig, target: Callable[..., Any]) -> None:
    """Raise an error if a configuration is no valid call of `target`.

    Raises:
        ConfigurationError: a key or a value is wrong. The message has one line for each fault, with the full key, what
            was found, what was expected, and the nearest valid key.
    """
    faults = [*argument_faults(target, config, ""), *missing_faults(target, config, "")]
    if faults:
        raise ConfigurationError("\n".join(faults))


def argument_faults(target: Callable[..., Any], node: DictConfig, path: str) -> Iterator[str]:
    """Yield the keys of `node` that are no arguments of `target`, and the values that do not fit their annotations."""
    known = parameters(target)
    if known is None:
        return
    anything = any(one.kind is one.VAR_KEYWORD for one in known.values())
    given = [str(key) for key in node if key not in HYDRA_KEYS]
    for key in given:
        if key in keyword_names(known):
            yield from value_faults(join_key(path, key), node, key, known[key].annotation)
        elif not anything:
            nearest = suggestion(key, keyword_names(known))
            yield f"{join_key(path, key)}: {_label(target)} has no argument '{key}'; {nearest}"


def missing_faults(target: Callable[..., Any], node: DictConfig, path: str) -> Iterator[str]:
    """Yield the arguments without a default that `node` does not set."""
    known = parameters(target)
    if known is None or node.get("_partial_", False) or "_args_" in node:
        return
    for name in sorted(keyword_names(known) - set(node)):
        if known[name].default is inspect.Parameter.empty:
            yield f"{join_key(path, name)}: missing, {_label(target)} needs it ({describe(known[name].annotation)})"


def value_faults(path: str, node: DictConfig, key: str, annotation: Any) -> Iterator[str]:
    """Yield the faults of the value at `key`: it is missing, cannot be resolved, or does not fit its annotation."""
    if OmegaConf.is_missing(node, key):
        yield f"{path}: must be given"
        return
    try:
        value = node[key]
        if isinstance(value, DictConfig | ListConfig):
            value = OmegaConf.to_container(value, resolve=True)
    except OmegaConfBaseException as error:
        yield f"{path}: {str(error).splitlines()[0]}"
        return
    written = _written_at(path, node, key)
    if value is None and written != path and not fits(value, annotation):
        yield (
            f"{path}: it reads {written}, which is null here, and needs {describe(annotation)}; leave the part out, or "
            f"choose what has {written}"
        )
        return
    yield from shape_faults(written, value, annotation)


def _written_at(path: str, node: DictConfig, key: str) -> str:
    """Return the full key of the value itself where `key` only refers to it, as in `trainings: ${train}`."""
    raw = node._get_node(key)
    written = raw._value() if isinstance(raw, Node) else None
    if isinstance(written, str) and WHOLE_INTERPOLATION.fullmatch(written):
        return interpolated_keys(written, path)[0]
    return path


def shape_faults(path: str, value: Any, annotation: Any) -> Iterator[str]:
    """Yield the faults of a plain value. The keys of a `TypedDict` are checked one by one."""
    if isinstance(value, Mapping) and is_typeddict(annotation):
        known = get_type_hints(annotation, include_extras=True)
        for key, one in value.items():
            if key in known:
                yield from shape_faults(join_key(path, key), one, _unmarked(known[key]))
            else:
                yield f"{join_key(path, key)}: {_label(annotation)} has no key '{key}'; {suggestion(str(key), known)}"
        if annotation.__total__:
            for key in sorted(set(known) - set(value)):
                if get_origin(known[key]) is not NotRequired:
                    yield f"{join_key(path, key)}: missing, {_label(annotation)} needs it ({describe(known[key])})"
    elif isinstance(value, Mapping) and "_target_" not in value and is_typeddict((get_args(annotation) or (None,))[-1]):
        for key, one in value.items():
            yield from shape_faults(join_key(path, key), one, get_args(annotation)[-1])
    elif not fits(value, annotation):
        yield f"{path}: expected {describe(annotation)}, found {value!r} ({type(value).__name__})"


def keyword_names(known: dict[str, inspect.Parameter]) -> set[str]:
    """Return the parameters that can be passed by name."""
    return {name for name, one in known.items() if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}


def locate(key: str, target: Any) -> Any:
    """Return the class or function that a `_target_` names.

    Args:
        key: full key of the `_target_`, for messages.
        target: its value.

    Raises:
        ConfigurationError: nothing has that name, or its module needs a package that is not installed.
    """
    if not isinstance(target, str) or "." not in target:
        raise ConfigurationError(f"{key}: expected the dotted name of a class or function, found {target!r}")
    owner, _, name = target.rpartition(".")
    try:
        holder = _owner(owner)
    except ModuleNotFoundError as error:
        missing = error.name or owner
        if owner == missing or owner.startswith(f"{missing}."):
            raise ConfigurationError(f"{key}: there is no module '{missing}'{_nearest_module(missing)}") from None
        raise ConfigurationError(
            f"{key}: {owner} needs the package {missing}, which is not installed; `recsys doctor` says more"
        ) from None
    if name not in dir(holder):
        public = [one for one in vars(holder) if not one.startswith("_")]
        raise ConfigurationError(f"{key}: {owner} has no '{name}'; {suggestion(name, public)}")
    found = get_object(target)
    if not callable(found):
        raise ConfigurationError(f"{key}: {target} is a {type(found).__name__}, expected a class or function")
    return found


def join_key(path: str, key: Any) -> str:
    """Return the full key of `key` below `path`.

    >>> join_key("", "stage"), join_key("stage", "sft")
    ('stage', 'stage.sft')
    """
    return f"{path}.{key}" if path else str(key)


def _owner(name: str) -> Any:
    """Return the module of that name, or the class inside a module."""
    try:
        return import_module(name)
    except ModuleNotFoundError:
        module, _, inner = name.rpartition(".")
        if module and inner[:1].isupper():
            return getattr(import_module(module), inner)
        raise


def _unmarked(annotation: Any) -> Any:
    """Return an annotation without `Required` or `NotRequired` around it."""
    return get_args(annotation)[0] if get_origin(annotation) in (Required, NotRequired) else annotation


def _nearest_module(missing: str) -> str:
    """Return the end of a message that suggests the nearest module."""
    package, _, name = missing.rpartition(".")
    if not package:
        return ""
    return f"; {suggestion(name, (one.name for one in pkgutil.iter_modules(import_module(package).__path__)))}"


def _label(target: Callable[..., Any]) -> str:
    return getattr(target, "__name__", str(target))
