"""Write numbers, shares and intervals as text: one way for the console and for reports."""

from __future__ import annotations

import math
from collections.abc import Callable

MISSING = "–"
"""What stands for a value that is missing or not finite."""


def number(value: float | None, places: int = 4, signed: bool = False, leading_zero: bool = True) -> str:
    """Return a number with a fixed number of decimals, for columns whose values have one scale.

    The minus sign is the typographical one, thousands are separated by commas, and a number that rounds to 0 has no
    sign.

    Args:
        value: the number; None and numbers that are not finite become `MISSING`.
        places: number of decimals.
        signed: whether positive numbers have a plus sign, as differences do.
        leading_zero: whether a 0 stands before the point; metrics in [0, 1] do without it in narrow columns.

    >>> number(-0.00891), number(0.5, 2, signed=True), number(12500.0, 0), number(None)
    ('−0.0089', '+0.50', '12,500', '–')
    >>> number(0.1234, leading_zero=False), number(-0.0051, leading_zero=False), number(10.5, 1, leading_zero=False)
    ('.1234', '−.0051', '10.5')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    written = f"{abs(value):,.{places}f}"
    sign = "" if float(written.replace(",", "")) == 0 else _sign(value, signed)
    return sign + (written if leading_zero or not written.startswith("0.") else written[1:])


def significant(value: float | None, digits: int = 4, signed: bool = False) -> str:
    """Return a number with a fixed number of significant digits, for values of any scale, such as rewards.

    Args:
        value: the number; None and numbers that are not finite become `MISSING`.
        digits: number of significant digits; larger integers keep all of theirs.
        signed: whether positive numbers have a plus sign, as differences do.

    >>> significant(0.00259389), significant(277.78, 3), significant(12345.6), significant(-0.5, signed=True)
    ('0.002594', '278', '12,346', '−0.5')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    size = abs(value)
    written = f"{size:,.0f}" if size >= 10**digits else f"{size:,.{digits}g}"
    return ("" if size == 0 else _sign(value, signed)) + written


def percent(share: float | None, places: int = 1) -> str:
    """Return a share as a percentage; a positive share that would round to 0 is written as a bound.

    Args:
        share: the share, 1 for 100 %; None and numbers that are not finite become `MISSING`.
        places: number of decimals.

    >>> percent(0.1234), percent(0.00004), percent(0.0), percent(None)
    ('12.3 %', '< 0.1 %', '0.0 %', '–')
    """
    if share is None or not math.isfinite(share):
        return MISSING
    least = 10.0**-places
    return f"< {least:g} %" if 0 < 100 * share < least / 2 else f"{number(100 * share, places)} %"


def interval(low: float | None, high: float | None, form: Callable[[float | None], str] = significant) -> str:
    """Return an interval in brackets, and nothing where an end is missing.

    Args:
        low: lower end.
        high: upper end.
        form: how a number is written, such as `number` or `significant`.

    >>> interval(0.2, 0.3), interval(None, None)
    ('[0.2, 0.3]', '')
    """
    return "" if low is None or high is None else f"[{form(low)}, {form(high)}]"


def with_interval(
    value: float | None,
    low: float | None = None,
    high: float | None = None,
    form: Callable[[float | None], str] = significant,
) -> str:
    """Return a value followed by its interval, where it has one.

    Args:
        value: the value; None and numbers that are not finite become `MISSING`.
        low: lower end of the interval; None where there is none.
        high: upper end of the interval.
        form: how a number is written, such as `number` or `significant`.

    >>> with_interval(0.25, 0.2, 0.3), with_interval(0.25), with_interval(0.25, 0.2, 0.3, number)
    ('0.25 [0.2, 0.3]', '0.25', '0.2500 [0.2000, 0.3000]')
    """
    return f"{form(value)} {interval(low, high, form)}".rstrip()


def _sign(value: float, signed: bool) -> str:
    return "−" if value < 0 else "+" if signed else ""
