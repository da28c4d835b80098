"""Shapes and types of every call are checked once: arguments before it, the result behind it.

`jaxtyping.jaxtyped` checks arguments twice, binds them to the signature, and does so where no array is annotated; the
tests then spend two fifths of their time there. Here a function is checked by the type checker alone, and those that
have arrays get what the sizes of one call share.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any, get_args, get_type_hints

import jaxtyping
from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray, TypeCheckError, jaxtyped

typechecker = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=TypeCheckError))


def checked(function: Any = None, *, typechecker: Callable[[Any], Any]) -> Any:
    """Decorate a function or a class as `jaxtyped` does."""
    if function is None:
        return functools.partial(checked, typechecker=typechecker)
    if inspect.isclass(function):
        if is_dataclass(function) and not hasattr(function.__init__, "__wrapped__"):
            function.__init__ = checked(_field_hints(function), typechecker=typechecker)
        return function
    if inspect.isgeneratorfunction(function):
        return jaxtyped(function, typechecker=typechecker)
    typed = typechecker(function)
    return sharing_sizes(typed) if has_arrays(function) else typed


def sharing_sizes(typed: Callable[..., Any]) -> Callable[..., Any]:
    """Let letters of shapes stand for the same sizes in all of a call; an error says which ones."""

    @functools.wraps(typed)
    def call(*given: Any, **named: Any) -> Any:
        with jaxtyped("context"):
            try:
                return typed(*given, **named)
            except TypeCheckError as error:
                if not hasattr(error, "__notes__"):
                    with contextlib.redirect_stdout(io.StringIO()) as sizes:
                        jaxtyping.print_bindings()
                    error.add_note(sizes.getvalue())
                raise

    return call


def _field_hints(record: type) -> Callable[..., None]:
    """Its `__init__`, with annotations read in the modules of the classes that have them."""
    made = record.__init__
    with contextlib.suppress(NameError):
        hints = get_type_hints(record, include_extras=True)
        made.__annotations__ = {name: hints.get(name, hint) for name, hint in made.__annotations__.items()}
    return made


def has_arrays(function: Callable[..., Any]) -> bool:
    """Whether an annotation names a shape; one that cannot be read yet is taken by its text."""
    return any(_mentions(hint, function.__globals__) for hint in function.__annotations__.values())


def _mentions(hint: Any, names: dict[str, Any]) -> bool:
    if isinstance(hint, str):
        try:
            hint = eval(hint, names)
        except (NameError, AttributeError):
            return "Tensor" in hint
    if inspect.isclass(hint) and issubclass(hint, AbstractArray):
        return True
    return any(_mentions(one, names) for one in get_args(hint) if not isinstance(one, str))
