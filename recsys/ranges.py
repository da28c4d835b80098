"""Refuse numbers outside their range where an object is made, in one sentence that names the argument.

An argument may be None, which stands for no number and is in every range.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from recsys.errors import ConfigurationError

MOST = 10**9
"""The largest whole number that `at_least` takes: what is counted is held in memory or done one by one."""


class RangeError(ConfigurationError):
    """A number is outside the range of its argument.

    Args:
        name: of the argument, without the index or the key of a value inside it.
        value: the number.
        expected: the end of the message: what was expected.
    """

    def __init__(self, name: str, value: object, expected: str) -> None:
        super().__init__(f"{name}={value}: {expected}")
        self.name = re.split(r"[.\[]", name)[0]


LARGEST_SEED = 2**32 - 1
"""The largest seed: NumPy takes none above it."""


def at_least(lowest: float, **values: float | None) -> None:
    """Refuse values below `lowest`, values that are not finite, and whole numbers above `MOST`.

    Raises:
        RangeError: it names the value and the range.

    >>> at_least(1, slots=2, users=0)
    Traceback (most recent call last):
    recsys.ranges.RangeError: users=0: expected at least 1
    """
    for name, value in _given(values):
        if not (value >= lowest and math.isfinite(value)):
            raise RangeError(name, value, f"expected at least {lowest}")
        if isinstance(value, int) and value > MOST:
            raise RangeError(name, value, f"expected at most {MOST}")


def above(bound: float, **values: float | None) -> None:
    """Refuse values at or below `bound`, and values that are not finite.

    Raises:
        RangeError: it names the value and the range.

    >>> above(0, noise=-1.0)
    Traceback (most recent call last):
    recsys.ranges.RangeError: noise=-1.0: expected above 0
    """
    for name, value in _given(values):
        if not (value > bound and math.isfinite(value)):
            raise RangeError(name, value, f"expected above {bound}")


def below(bound: float, **values: float | None) -> None:
    """Refuse values at or above `bound`, and values that are not finite.

    Raises:
        RangeError: it names the value and the range.

    >>> below(0, floor=1.0)
    Traceback (most recent call last):
    recsys.ranges.RangeError: floor=1.0: expected below 0
    """
    for name, value in _given(values):
        if not (value < bound and math.isfinite(value)):
            raise RangeError(name, value, f"expected below {bound}")


def finite(**values: float | None) -> None:
    """Refuse NaN and infinite values; every other number is in the range.

    Raises:
        RangeError: it names the value.

    >>> finite(margin=float("nan"))
    Traceback (most recent call last):
    recsys.ranges.RangeError: margin=nan: expected a finite number
    """
    for name, value in _given(values):
        if not math.isfinite(value):
            raise RangeError(name, value, "expected a finite number")


def within(lowest: float, highest: float, **values: float | None) -> None:
    """Refuse values outside `[lowest, highest]`.

    Raises:
        RangeError: it names the value and the range.

    >>> within(0, 1, epsilon=3)
    Traceback (most recent call last):
    recsys.ranges.RangeError: epsilon=3: expected in [0, 1]
    """
    for name, value in _given(values):
        if not lowest <= value <= highest:
            raise RangeError(name, value, f"expected in [{lowest}, {highest}]")


def between(lowest: float, highest: float, **values: float | None) -> None:
    """Refuse values outside `(lowest, highest)`.

    Raises:
        RangeError: it names the value and the range.

    >>> between(0, 1, confidence=1.0)
    Traceback (most recent call last):
    recsys.ranges.RangeError: confidence=1.0: expected above 0 and below 1
    """
    for name, value in _given(values):
        if not lowest < value < highest:
            raise RangeError(name, value, f"expected above {lowest} and below {highest}")


def below_one(**values: float | None) -> None:
    """Refuse values outside `[0, 1)`.

    Raises:
        RangeError: it names the value and the range.

    >>> below_one(dropout=1.0)
    Traceback (most recent call last):
    recsys.ranges.RangeError: dropout=1.0: expected in [0, 1)
    """
    for name, value in _given(values):
        if not 0 <= value < 1:
            raise RangeError(name, value, "expected in [0, 1)")


def is_seed(**values: int | None) -> None:
    """Refuse what is no seed of all generators: whole numbers in `[0, LARGEST_SEED]` are.

    Raises:
        RangeError: it names the value and the range.

    >>> is_seed(seed=-1)
    Traceback (most recent call last):
    recsys.ranges.RangeError: seed=-1: expected a seed in [0, 4294967295]
    """
    for name, value in _given(values):
        if not 0 <= value <= LARGEST_SEED:
            raise RangeError(name, value, f"expected a seed in [0, {LARGEST_SEED}]")


def shares_of_slots(name: str, values: Sequence[float]) -> None:
    """Refuse an empty sequence, and one with a value outside `[0, 1]`.

    Raises:
        RangeError: it names the first such value by its place.

    >>> shares_of_slots("examination", [1.0, 1.5])
    Traceback (most recent call last):
    recsys.ranges.RangeError: examination[1]=1.5: expected in [0, 1]
    """
    if len(values) == 0:
        raise RangeError(name, [], "expected a value in [0, 1] for each slot")
    for place, value in enumerate(values):
        within(0, 1, **{f"{name}[{place}]": value})


def _given(values: Mapping[str, float | None]) -> Iterator[tuple[str, float]]:
    """Yield the values that are numbers."""
    return ((name, value) for name, value in values.items() if value is not None)
