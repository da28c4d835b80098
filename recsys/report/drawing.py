"""Drawing primitives of charts: scales, ticks, and SVG figures that screen readers can read."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from recsys.report.markup import Markup, element, join


@dataclass(frozen=True)
class Scale:
    """A linear map from `[low, high]` in data units to `[start, end]` in pixels.

    >>> Scale(0.0, 10.0, 100.0, 200.0)(2.5)
    125.0
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of `value` on the page, in pixels."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def extent(values: Iterable[float | None], pad: float = 0.0) -> tuple[float, float]:
    """Return the smallest and largest finite value, widened by `pad` times their distance, but not across zero.

    A single value gets room on both sides. Without values the extent is (0, 1).

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
    """Return about `count` round values inside `[low, high]`: multiples of 1, 2 or 5 times a power of ten.

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
    """Return the number of decimals that distinguish round values.

    >>> decimals([0.08, 0.1, 0.12])
    2
    """
    return max((len(f"{value:.10f}".rstrip("0").split(".")[1]) for value in values), default=0)


CHARACTER = 7.2
"""Width of an average character of labels (12 px), in pixels."""


def figure(*drawn: str, title: str, description: str, width: float, height: float, note: str = "") -> Markup:
    """Return a figure with a heading, a drawing and a note below it.

    Args:
        drawn: SVG elements in a coordinate system of `width` by `height` pixels.
        title: heading of the figure; may be empty.
        description: description of the drawing for screen readers.
        width: width in pixels. The drawing shrinks with the page and keeps its proportions.
        height: height in pixels.
        note: one line below the drawing; may be empty.
    """
    name = "d" + sha256("".join((title, description, *drawn)).encode("utf-8", "surrogatepass")).hexdigest()[:12]
    drawing = element(
        "svg",
        element("desc", description, id=name),
        *drawn,
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        role="img",
        aria_label=title or "chart",
        aria_describedby=name,
    )
    heading = element("figcaption", title) if title else Markup()
    below = element("p", note, class_="note") if note else Markup()
    return element("figure", join(heading, element("div", drawing, class_="drawing"), below))


def text(x: float, y: float, words: str, anchor: str = "start", kind: str | None = None) -> Markup:
    """Return text at a place; `anchor` is `start`, `middle` or `end`."""
    return element("text", words, x=x, y=y, text_anchor=None if anchor == "start" else anchor, class_=kind)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """Return a straight line; `kind` is its CSS class."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def spread_labels(wanted: list[float], gap: float, low: float, high: float) -> list[float]:
    """Return places near the wanted ones, at least `gap` apart, in the same order, and in `[low, high]` if they fit.

    >>> spread_labels([10.0, 11.0, 40.0], 10.0, 0.0, 100.0)
    [5.5, 15.5, 40.0]
    """
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    blocks: list[tuple[float, int]] = []
    for index in order:
        centre, size = _inside(wanted[index], 0.0, low, high), 1
        while blocks and blocks[-1][0] + (blocks[-1][1] + size) * gap / 2 > centre:
            other, others = blocks.pop()
            size, mean = size + others, (other * others + centre * size) / (size + others)
            centre = _inside(mean, (size - 1) * gap / 2, low, high)
        blocks.append((centre, size))
    placed = [centre + (step - (size - 1) / 2) * gap for centre, size in blocks for step in range(size)]
    return [place for _, place in sorted(zip(order, placed, strict=True))]


def _inside(centre: float, half: float, low: float, high: float) -> float:
    return max(low + half, min(high - half, centre))
