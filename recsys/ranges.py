"""Refuse numbers outside their range where an object is made, in one sentence that names the argument."""

from __future__ import annotations

import math
from collections.abc import Sequence

from recsys.errors import ConfigurationError


def at_least(lowest: float, **values: float) -> None:
    """Refuse values below `lowest`, and values that are not finite.

    Raises:
        ConfigurationError: it names the value and the range.

    >>> at_least(1, slots=2, users=0)
    Traceback (most recent call last):
    recsys.errors.ConfigurationError: users=0: expected at least 1
    """
    for name, value in values.items():
        if not (value >= lowest and math.isfinite(value)):
            raise ConfigurationError(f"{name}={value}: expected at least {lowest}")


def above(bound: float, **values: float) -> None:
    """Refuse values at or below `bound`, and values that are not finite.

    Raises:
        ConfigurationError: it names the value and the range.

    >>> above(0, noise=-1.0)
    Traceback (most recent call last):
    recsys.errors.ConfigurationError: noise=-1.0: expected above 0
    """
    for name, value in values.items():
        if not (value > bound and math.isfinite(value)):
            raise ConfigurationError(f"{name}={value}: expected above {bound}")


def within(lowest: float, highest: float, **values: float) -> None:
    """Refuse values outside `[lowest, highest]`.

    Raises:
        ConfigurationError: it names the value and the range.

    >>> within(0, 1, epsilon=3)
    Traceback (most recent call last):
    recsys.errors.ConfigurationError: epsilon=3: expected in [0, 1]
    """
    for name, value in values.items():
        if not lowest <= value <= highest:
            raise ConfigurationError(f"{name}={value}: expected in [{lowest}, {highest}]")


def below_one(**values: float) -> None:
    """Refuse values outside `[0, 1)`.

    Raises:
        ConfigurationError: it names the value and the range.

    >>> below_one(dropout=1.0)
    Traceback (most recent call last):
    recsys.errors.ConfigurationError: dropout=1.0: expected in [0, 1)
    """
    for name, value in values.items():
        if not 0 <= value < 1:
            raise ConfigurationError(f"{name}={value}: expected in [0, 1)")


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
