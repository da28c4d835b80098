"""Make what a configuration names, and name the key where a constructor refuses what it is given."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import MISSING, OmegaConf

from recsys.errors import ConfigurationError, RequestError

WRONG_VALUE = (ValueError, TypeError, ConfigurationError)
"""What a constructor raises because of its arguments; any other exception is a defect and keeps its traceback."""

FULL_KEY = re.compile(r"\nfull_key: (\S+)\Z")


class PartError(ConfigurationError):
    """A constructor refused its arguments.

    Args:
        key: full key of the part in the configuration.
        problem: what the constructor said.
    """

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(key, problem)
        self.key = key
        self.problem = problem

    def __str__(self) -> str:
        return self.problem if not self.key or self.problem.startswith(self.key) else f"{self.key}: {self.problem}"


def make(node: Any, *given: Any, key: str | None = None, **named: Any) -> Any:
    """Return what a node configures, with plain lists and dictionaries.

    A node with `_recursive_: false` makes its parts itself and gets them as configuration. The class of a part with
    `_partial_: true` is called later, by whom the part is given to, and refuses its arguments then in the same way.

    Args:
        node: configuration or plain values with `_target_`.
        given: further arguments of the target, by position.
        key: full key of the node, for messages; None for its place in the configuration that it belongs to.
        named: further arguments of the target, by name.

    Raises:
        PartError: a constructor raised `ValueError`, `TypeError` or `ConfigurationError`.
        RequestError: as the constructor said it.
        Exception: whatever else a constructor raises, with its traceback.

    >>> make({"_target_": "datetime.timedelta", "days": 2}).days
    2
    >>> make({"_target_": "fractions.Fraction", "numerator": "half"}, key="share")
    Traceback (most recent call last):
    recsys.instantiation.PartError: share: Invalid literal for Fraction: 'half'
    """
    if key is None:
        key = str(node._get_full_key(None) or "") if OmegaConf.is_config(node) else ""
    plain: Any = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else dict(node)
    recursive = plain.get("_recursive_", True)
    options: dict[str, Any] = {"_convert_": plain.get("_convert_", "all" if recursive else "none")}
    if given or named:
        options["_partial_"] = True
    prepared = {name: _deferring(value, _below(key, name)) for name, value in plain.items()} if recursive else plain
    try:
        made = instantiate(prepared, **options)
    except InstantiationException as error:
        raise _explained(error, key, plain) from error.__cause__
    if not (given or named):
        return made
    with refusing(key):
        return made(*given, **named)


@contextmanager
def refusing(key: str) -> Iterator[None]:
    """Turn what constructors raise because of their arguments into a `PartError` that names `key`."""
    try:
        yield
    except PartError:
        raise
    except WRONG_VALUE as error:
        raise PartError(key, _words(error)) from error


class Deferred:
    """A class and some of its arguments, called later: `functools.partial` that names its key in a `PartError`.

    Args:
        target: the class.
        key: full key in the configuration.
        args: its first arguments by position.
        kwargs: its arguments by name, unless the call gives others.
    """

    def __init__(self, target: Callable[..., Any], key: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.target = target
        self.key = key
        self.args = args
        self.kwargs = kwargs

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make the object."""
        with refusing(self.key):
            return self.target(*self.args, *args, **{**self.kwargs, **kwargs})


def defer(*args: Any, deferred_target: str, deferred_key: str, **kwargs: Any) -> Deferred:
    """Return the class of a part with `_partial_: true`, to be called later; `make` puts this in its place."""
    return Deferred(get_object(deferred_target), deferred_key, args, kwargs)


def _deferring(value: Any, key: str) -> Any:
    """Return plain configuration in which classes with `_partial_: true` know their key."""
    if isinstance(value, list):
        return [_deferring(one, _below(key, index)) for index, one in enumerate(value)]
    if not isinstance(value, dict) or not value.get("_recursive_", True):
        return value
    inside = {name: _deferring(one, _below(key, name)) for name, one in value.items()}
    if value.get("_partial_") is not True or not _is_class(value.get("_target_")):
        return inside
    arguments = {name: one for name, one in inside.items() if name not in ("_target_", "_partial_") and one != MISSING}
    name = f"{__name__}.{defer.__name__}"
    return {"_target_": name, "deferred_target": value["_target_"], "deferred_key": key, **arguments}


def _is_class(target: Any) -> bool:
    try:
        return isinstance(get_object(target), type)
    except Exception:  # Hydra says it better
        return False


def _explained(error: InstantiationException, key: str, plain: Any) -> BaseException:
    """Return what is to be raised in place of Hydra's exception."""
    cause = error.__cause__
    place = FULL_KEY.search(str(error))
    if isinstance(cause, PartError) or (isinstance(cause, RequestError) and not isinstance(cause, ConfigurationError)):
        return cause
    if isinstance(cause, WRONG_VALUE):
        below = dict(_places(plain, "", "")).get(place[1], place[1]) if place else ""
        return PartError(_below(key, below) if below else key, _words(cause))
    return error if cause is None else cause


def _places(value: Any, written: str, key: str) -> Iterator[tuple[str, str]]:
    """Yield the keys of all parts as OmegaConf writes them, an index behind its list without a point, and in full."""
    if isinstance(value, dict):
        yield written, key
        for name, one in value.items():
            yield from _places(one, _below(written, name), _below(key, name))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from _places(one, f"{written}{index}", _below(key, index))


def _below(key: str, name: Any) -> str:
    return f"{key}.{name}" if key else str(name)


def _words(error: BaseException) -> str:
    return str(error).strip() or type(error).__name__
