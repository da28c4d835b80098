"""Check whether a plain configuration value fits a Python annotation."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from os import PathLike
from typing import Annotated, Any, ForwardRef, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

UNKNOWN = (Any, object, inspect.Parameter.empty)


def parameters(target: Callable[..., Any]) -> dict[str, inspect.Parameter] | None:
    """Return the parameters by name, without `self`, with evaluated annotations; None if they are unknown.

    >>> def area(width: "int", height: float = 1.0) -> float: ...
    >>> {name: parameter.annotation for name, parameter in parameters(area).items()}
    {'width': <class 'int'>, 'height': <class 'float'>}
    """
    try:
        found = inspect.signature(target).parameters
    except (TypeError, ValueError):
        return None
    hints = _hints(target.__init__ if inspect.isclass(target) else target)
    return {name: one.replace(annotation=hints.get(name, one.annotation)) for name, one in found.items()}


def first_argument(target: Callable[..., Any], given: Iterable[str] = ()) -> type | None:
    """Return the class that annotates the first parameter that a call fills by position.

    None where it is annotated with a protocol, or with anything else than one class.

    Args:
        target: a class or a function.
        given: names of parameters that are filled by name.

    >>> def area(width: int, height: float = 1.0) -> float: ...
    >>> first_argument(area), first_argument(area, ["width"])
    (<class 'int'>, <class 'float'>)
    """
    taken = parameters(target) or {}
    first = next((one.annotation for name, one in taken.items() if name not in given), None)
    plain = (
        inspect.isclass(first) and first is not inspect.Parameter.empty and not getattr(first, "_is_protocol", False)
    )
    return first if plain else None


def _hints(function: Any) -> dict[str, Any]:
    """Return evaluated annotations. One that cannot be evaluated, for example under TYPE_CHECKING, becomes Any."""
    try:
        return get_type_hints(function)
    except (AttributeError, NameError, TypeError):
        pass
    plain = inspect.unwrap(function)
    scope = getattr(plain, "__globals__", {})
    hints: dict[str, Any] = {}
    for name, annotation in getattr(plain, "__annotations__", {}).items():
        try:
            hints[name] = eval(annotation, scope) if isinstance(annotation, str) else annotation
        except (AttributeError, NameError, SyntaxError, TypeError):
            hints[name] = Any
    return hints


def fits(value: Any, annotation: Any) -> bool:
    """Return whether a value from YAML fits an annotation.

    An integer fits a float, a list a tuple, the name of a member an enumeration, a string a path. A node with
    `_target_` fits everything, because its type is unknown before it is instantiated. Everything fits an annotation
    that cannot be read.

    >>> fits(3, float), fits(3.0, int), fits(True, int), fits(None, int | None), fits([1, 2], tuple[int, ...])
    (True, False, False, True, True)
    """
    if annotation in UNKNOWN or isinstance(annotation, str | ForwardRef | TypeVar):
        return True
    if isinstance(value, Mapping) and "_target_" in value:
        return True
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return fits(value, arguments[0])
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in arguments)
    if origin is Literal:
        return any(value == one and type(value) is type(one) for one in arguments)
    if value is None or annotation in (None, type(None)):
        return value is None and annotation in (None, type(None))
    if isinstance(value, list):
        return _list_fits(value, origin or annotation, arguments)
    if isinstance(value, Mapping):
        return _mapping_fits(value, origin or annotation, arguments)
    return _scalar_fits(value, origin or annotation)


def describe(annotation: Any) -> str:
    """Return the annotation as text for messages.

    >>> describe(int), describe(int | None), describe(Literal["a", "b"])
    ('int', 'int | None', "'a' or 'b'")
    """
    if get_origin(annotation) is Literal:
        return " or ".join(repr(one) for one in get_args(annotation))
    if inspect.isclass(annotation) and issubclass(annotation, Enum):
        return " or ".join(annotation.__members__)
    if inspect.isclass(annotation) and not get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("collections.abc.", "")


def _list_fits(value: list[Any], container: Any, arguments: tuple[Any, ...]) -> bool:
    if not inspect.isclass(container):
        return True
    if not (issubclass(container, tuple | AbstractSet) or _instance(value, container)):
        return False
    if issubclass(container, tuple) and arguments and Ellipsis not in arguments:
        return len(value) == len(arguments) and all(map(fits, value, arguments))
    return not arguments or all(fits(one, arguments[0]) for one in value)


def _mapping_fits(value: Mapping[Any, Any], container: Any, arguments: tuple[Any, ...]) -> bool:
    if not inspect.isclass(container):
        return True
    if not _instance(value, container):
        return False
    if len(arguments) != 2:
        return True
    return all(fits(key, arguments[0]) and fits(one, arguments[1]) for key, one in value.items())


def _scalar_fits(value: Any, kind: Any) -> bool:
    if not inspect.isclass(kind):
        return True
    if isinstance(value, bool) and kind in (int, float):
        return False
    if kind is float:
        return isinstance(value, int | float)
    if issubclass(kind, Enum):
        return isinstance(value, kind) or value in kind.__members__
    if isinstance(value, str) and kind is not str:
        return kind is PathLike or hasattr(kind, "__fspath__")
    return _instance(value, kind)


def _instance(value: Any, kind: type) -> bool:
    """Return `isinstance(value, kind)`, or False for a protocol that cannot be checked at run time."""
    try:
        return isinstance(value, kind)
    except TypeError:
        return False
