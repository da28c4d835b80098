"""From numbers to places on a page, and to words."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """A straight line from `[low, high]` in data to `[start, end]` on the page.

    >>> Scale(0.0, 10.0, 100.0, 200.0)(2.5)
    125.0
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where `value` lies on the page."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def extent(values: Iterable[float | None], pad: float = 0.0) -> tuple[float, float]:
    """Smallest and largest finite value, widened by `pad` of their distance, not across zero.

    One value alone gets room on both sides.

    >>> extent([2.0, None, 4.0], pad=0.5)
    (1.0, 5.0)
    >>> extent([0.0, 4.0], pad=0.5)
    (0.0, 6.0)
    >>> extent([])
    (0.0, 1.0)
    """
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    room = (high - low) * pad if high > low else abs(low) / 2 or 1.0
    return (0.0 if 0 <= low < room else low - room), (0.0 if -room < high < 0 else high + room)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round values inside `[low, high]`: multiples of 1, 2 or 5 times a power of ten.

    >>> ticks(0.0, 10.0)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    >>> ticks(0.071, 0.122, 4)
    [0.08, 0.09, 0.1, 0.11, 0.12]
    """
    rough = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * min((1, 2, 5, 10), key=lambda multiple: abs(math.log(multiple * power / rough)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{index * step:.12g}") for index in range(first, last + 1)]


def decimals(values: Iterable[float]) -> int:
    """The decimals needed to tell round values apart.

    >>> decimals([0.08, 0.1, 0.12])
    2
    """
    return max((len(f"{value:.10f}".rstrip("0").split(".")[1]) for value in values), default=0)


def number(value: float | None, places: int = 4, signed: bool = False) -> str:
    """A number as it is read: true minus sign, thousands apart, a dash where there is none.

    >>> number(-0.00891), number(0.5, 2, signed=True), number(12500.0, 0), number(None)
    ('−0.0089', '+0.50', '12,500', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    written = f"{abs(value):,.{places}f}"
    if float(written.replace(",", "")) == 0:
        return written
    return ("−" if value < 0 else "+" if signed else "") + written
