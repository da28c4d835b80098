"""Check that an object made by somebody else has what a protocol asks for, and say what it lacks."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator
from typing import Any

from recsys.errors import ContractError


def require_protocol(part: object, protocol: type, only: Collection[str] = ()) -> None:
    """Refuse an object that lacks a method or an attribute of a protocol, or whose method cannot be called as it says.

    Args:
        part: the object.
        protocol: the protocol; what it inherits from other protocols counts.
        only: members that are asked for; empty for all.

    Raises:
        ContractError: it names the class, the protocol and each member, with what was expected and what was found.

    >>> from collections.abc import Callable
    >>> from typing import Protocol
    >>> class Named(Protocol):
    ...     def name(self, short: bool) -> str: ...
    >>> require_protocol(3, Named)
    Traceback (most recent call last):
    recsys.errors.ContractError: int is no Named: it has no name(short)
    """
    problems = list(_problems(part, protocol, only))
    if problems:
        raise ContractError(f"{type(part).__name__} is no {protocol.__name__}: {'; '.join(problems)}")


def _problems(part: object, protocol: type, only: Collection[str]) -> Iterator[str]:
    """Yield what an object lacks of a protocol."""
    for name in _members(protocol):
        if only and name not in only:
            continue
        asked = inspect.getattr_static(protocol, name, None)
        if not inspect.isfunction(asked):
            if not hasattr(part, name):
                yield f"it has no attribute {name}"
            continue
        call = ", ".join(_arguments(asked))
        found: Any = getattr(part, name, None)
        if found is None:
            yield f"it has no {name}({call})"
        elif not callable(found):
            yield f"its {name} is a {type(found).__name__}, expected a method {name}({call})"
        elif not _can_be_called(found, len(_arguments(asked))):
            yield f"its method is {name}{inspect.signature(found)}, expected {name}({call})"


def _members(protocol: type) -> list[str]:
    """Return the public members of a protocol, in their order."""
    found: dict[str, None] = {}
    for base in reversed(protocol.__mro__):
        if getattr(base, "_is_protocol", False):
            names = [*getattr(base, "__annotations__", {}), *vars(base)]
            found |= {name: None for name in names if not name.startswith("_") or name == "__call__"}
    return list(found)


def _arguments(method: Any) -> list[str]:
    return [name for name, one in inspect.signature(method).parameters.items() if name != "self"]


def _can_be_called(method: Any, arguments: int) -> bool:
    """Return whether a method takes so many arguments by position; True where its signature is unknown."""
    try:
        inspect.signature(method).bind(*[None] * arguments)
    except TypeError:
        return False
    except ValueError:
        return True
    return True
