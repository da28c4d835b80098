from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, Protocol, TypeVar

import pytest
import torch

from recsys.config.type_check import describe, fits, parameters

if TYPE_CHECKING:
    from nowhere import Unknown  # type: ignore[import-not-found]

Anything = TypeVar("Anything")


class Colour(Enum):
    RED = 1


class Scorer(Protocol):
    def score(self) -> float: ...


class Part: ...


@pytest.mark.parametrize(
    ("value", "annotation", "fit"),
    [
        (1, int, True),
        (1.0, int, False),
        (True, int, False),
        ("1", int, False),
        (1, float, True),
        (True, float, False),
        (True, bool, True),
        (0, bool, False),
        ("a", str, True),
        (1, str, False),
        (None, int, False),
        (None, int | None, True),
        (None, Optional[int], True),  # noqa: UP045
        (None, None, True),
        (0, None, False),
        ("auto", int | Literal["auto"], True),
        ("no", int | Literal["auto"], False),
        (1, Literal[True], False),
        ([1, 2], list[int], True),
        ([1, "x"], list[int], False),
        ([1, 2], tuple[int, ...], True),
        ([1, 2], tuple[int, int], True),
        ([1, 2, 3], tuple[int, int], False),
        ([1, 2], Sequence[float], True),
        ("12", Sequence[str], False),
        ([1], set[int], True),
        ([1], int, False),
        ([1], Part, False),
        ({"a": 1}, dict[str, int], True),
        ({"a": "x"}, Mapping[str, int], False),
        ({"a": 1}, dict, True),
        ({"a": 1}, int, False),
        ({"a": 1}, list[int], False),
        ({"_target_": "x.Y"}, int, True),
        ([{"_target_": "x.Y"}, 1], list[Part], False),
        ([{"_target_": "x.Y"}], list[Part], True),
        ("RED", Colour, True),
        ("BLUE", Colour, False),
        ("a/b", Path, True),
        (1, Path, False),
        (1, Part, False),
        ("x", Scorer, False),
        ("x", Callable[[int], int], False),
        (1, Annotated[int, "unit"], True),
        ("x", Annotated[int, "unit"], False),
        ("x", Any, True),
        ("x", object, True),
        ("x", Anything, True),
        ("x", "unread", True),
    ],
)
def test_fits(value: Any, annotation: Any, fit: bool) -> None:
    assert fits(value, annotation) is fit


def test_describe_names_what_can_be_written() -> None:
    assert describe(Colour) == "RED"
    assert describe(Sequence[int]) == "Sequence[int]"


def test_a_name_for_type_checkers_costs_its_own_parameter_alone() -> None:
    def call(first: int, second: Unknown, third: list[str]) -> None: ...

    found = parameters(call)
    assert found is not None
    assert [one.annotation for one in found.values()] == [int, Any, list[str]]


def test_parameters_of_a_class_are_those_of_its_constructor() -> None:
    found = parameters(torch.optim.AdamW)
    assert found is not None
    assert "self" not in found
    assert fits(1e-3, found["lr"].annotation)
    assert not fits("fast", found["weight_decay"].annotation)


def test_what_python_cannot_tell_is_not_checked() -> None:
    assert parameters(dict) is None
