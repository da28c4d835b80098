"""Refuse numbers outside their range where an object is made, in one sentence that names the argument.

An argument may be None, which stands for no number and is in every range.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from recsys.errors import ConfigurationError

MOST = 10**9
"""The largest whole number that `at_least` takes: what is counted is held in memory or done one by one."""

LARGEST_SEED = 2**32 - 1
"""The largest seed: NumPy takes none above it."""


def at_least(lowest: float, **values: float | None) -> None:
    """Refuse values below `lowest`, values that are not finite, and whole numbers above `MOST`.

    Raises:
        ConfigurationError: it names the value and the range.

    >>> at_least(1, slots=2, users=0)
    Traceback (most recent call last):
    recsys.errors.ConfigurationError: users=0: expected at least 1
    """
    for name, value in _given(values):
        if not (value >= lowest and math.isfinite(value)):
            raise ConfigurationError(f"{name}={value}: expected at least {lowest}")
        if isinstance(value, int) and value > MOST:
            raise ConfigurationError(f"{name}={value}: expected at most {MOST}")


def above(bound: float, **values: float | None) -> None:
    """Refuse values at or below `bound`, and values that are not finite.

    Raises:
        ConfigurationError: it names the value and the range.

    >>> above(0, noise=-1.0)
    Traceback (most recent call last):
    recsys.errors.ConfigurationError: noise=-1.0: expected above 0
    """
    for name, value in _given(values):
        if not (value > bound and math.isfinite(value)):
            raise ConfigurationError(f"{name}={value}: expected above {bound}")


def below(bound: float, **values: float | None) -> None:
    """Refuse values at or above `bound`, and values that are not finite.

    Raises:
        ConfigurationError: it names the value and the range.

    >>> below(0, floor=1.0)
    Traceback (most recent call last):
    recsys.errors.ConfigurationError: floor=1.0: expected below 0
    """
    for name, value in _given(values):
        if not (value < bound and math.isfinite(value)):
            raise ConfigurationError(f"{name}={value}: expected below {bound}")


def finite(**values: float | None) -> None:
    """Refuse NaN and infinite values; every other number is in the range.

    Raises:
        ConfigurationError: it names the value.

    >>> finite(margin=float("nan"))
    Traceback (most recent call last):
    recsys.errors.ConfigurationError: margin=nan: expected a finite number
    """
    for name, value in _given(values):
        if not math.isfinite(value):
            raise ConfigurationError(f"{name}={value}: expected a finite number")


def within(lowest: float, highest: float, **values: float | None) -> None:
    """Refuse values outside `[lowest, highest]`.

    Raises:
        ConfigurationError: it names the value and the range.

    >>> within(0, 1, epsilon=3)
    Traceback (most recent call last):
    recsys.errors.ConfigurationError: epsilon=3: expected in [0, 1]
    """
    for name, value in _given(values):
        if not lowest <= value <= highest:
            raise ConfigurationError(f"{name}={value}: expected in [{lowest}, {highest}]")


def between(lowest: float, highest: float, **values: float | None) -> None:
    """Refuse values outside `(lowest, highest)`.

    Raises:
        ConfigurationError: it names the value and the range.

    >>> between(0, 1, confidence=1.0)
    Traceback (most recent call last):
    recsys.errors.ConfigurationError: confidence=1.0: expected above 0 and below 1
    """
    for name, value in _given(values):
        if not lowest < value < highest:
            raise ConfigurationError(f"{name}={value}: expected above {lowest} and below {highest}")


def below_one(**values: float | None) -> None:
    """Refuse values outside `[0, 1)`.

    Raises:
        ConfigurationError: it names the value and the range.

    >>> below_one(dropout=1.0)
    Traceback (most recent call last):
    recsys.errors.ConfigurationError: dropout=1.0: expected in [0, 1)
    """
    for name, value in _given(values):
        if not 0 <= value < 1:
            raise ConfigurationError(f"{name}={value}: expected in [0, 1)")


def is_seed(**values: int | None) -> None:
    """Refuse what is no seed of all generators: whole numbers in `[0, LARGEST_SEED]` are.

    Raises:
        ConfigurationError: it names the value and the range.

    >>> is_seed(seed=-1)
    Traceback (most recent call last):
    recsys.errors.ConfigurationError: seed=-1: expected a seed in [0, 4294967295]
    """
    for name, value in _given(values):
        if not 0 <= value <= LARGEST_SEED:
            raise ConfigurationError(f"{name}={value}: expected a seed in [0, {LARGEST_SEED}]")


def shares_of_slots(name: str, values: Sequence[float]) -> None:
    """Refuse an empty sequence, and one with a value outside `[0, 1]`.

    Raises:
        ConfigurationError: it names the first such value by its place.

    >>> shares_of_slots("examination", [1.0, 1.5])
    Traceback (most recent call last):
    recsys.errors.ConfigurationError: examination[1]=1.5: expected in [0, 1]
    """
    if len(values) == 0:
        raise ConfigurationError(f"{name}=[]: expected a value in [0, 1] for each slot")
    for place, value in enumerate(values):
        within(0, 1, **{f"{name}[{place}]": value})


def _given(values: Mapping[str, float | None]) -> Iterator[tuple[str, float]]:
    """Yield the values that are numbers."""
    return ((name, value) for name, value in values.items() if value is not None)
