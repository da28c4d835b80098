"""The frame of a drawing: a titled, described SVG that a screen reader can read."""

from __future__ import annotations

from hashlib import sha256

from recsys.report.markup import Markup, element, join

CHARACTER = 7.2
"""Width in pixels of an average character at the size of labels (12 px)."""


def figure(*drawn: str, title: str, description: str, width: float, height: float, note: str = "") -> Markup:
    """A figure: heading, drawing, and a note below it.

    Args:
        drawn: SVG elements in a coordinate system of `width` by `height` pixels.
        title: what is drawn; may be empty.
        description: the drawing in words, for those who cannot see it.
        width: in pixels; the drawing shrinks with the page and keeps its proportions.
        height: in pixels.
        note: one line below the drawing; may be empty.
    """
    name = "d" + sha256("".join((title, description, *drawn)).encode()).hexdigest()[:12]
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
    """Words at a place; `anchor` is `start`, `middle` or `end`."""
    return element("text", words, x=x, y=y, text_anchor=None if anchor == "start" else anchor, class_=kind)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def spread(wanted: list[float], gap: float, low: float, high: float) -> list[float]:
    """Places near those wanted, at least `gap` apart, in the same order, within `[low, high]` while they fit.

    >>> spread([10.0, 11.0, 40.0], 10.0, 0.0, 100.0)
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
