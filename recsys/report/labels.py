"""Place labels beside points so that they overlap neither each other nor what is drawn, as far as there is room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recsys.report.drawing import CHARACTER

HEIGHT, APART, FURTHEST = 14.0, 9.0, 8
"""Height of a label, its distance from the point, both in pixels, and heights that it is moved by at most."""

MOVED, OUTSIDE = 0.5, 10.0
"""What a pixel of moving costs, and a square pixel outside of the drawing, in square pixels of overlap."""


@dataclass(frozen=True)
class Box:
    """A rectangle on the page, in pixels; the vertical axis points down."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """Return the area that both have.

        >>> Box(0, 0, 2, 2).overlap(Box(1, 1, 5, 5)), Box(0, 0, 1, 1).overlap(Box(2, 0, 3, 1))
        (1, 0)
        """
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0, width) * max(0, height)

    @property
    def area(self) -> float:
        """Return the area."""
        return (self.right - self.left) * (self.bottom - self.top)


@dataclass(frozen=True)
class PlacedLabel:
    """Where a label stands.

    Args:
        x: of its start or end.
        y: of its middle.
        anchor: `start` where the label is to the right of its point, `end` to the left.
        box: that it fills.
    """

    x: float
    y: float
    anchor: str
    box: Box


def labels_beside(
    points: Sequence[tuple[float, float]], words: Sequence[str], inside: Box, taken: Sequence[Box] = ()
) -> list[PlacedLabel]:
    """Return a place for each label, to the right or to the left of its point, moved up or down where it must be.

    Labels are placed one after the other, each where it overlaps least and is moved least; a label for which there is
    no room overlaps.

    Args:
        points: where the labels belong, in pixels.
        words: the labels, one a point.
        inside: that the labels shall not leave.
        taken: what they shall not cover.

    >>> [one.anchor for one in labels_beside([(10, 50), (95, 50)], ["left", "right"], Box(0, 0, 100, 100))]
    ['start', 'end']
    """
    placed: list[PlacedLabel] = []
    for point, word in zip(points, words, strict=True):
        others = [*taken, *(one.box for one in placed)]
        placed.append(min(_candidates(*point, word), key=lambda one: _cost(one, point[1], inside, others)))
    return placed


def _candidates(x: float, y: float, word: str) -> list[PlacedLabel]:
    """Return the places of a label, the nearest first."""
    width, found = CHARACTER * len(word), []
    for step in sorted(range(-FURTHEST, FURTHEST + 1), key=abs):
        middle = y + step * HEIGHT
        top, bottom = middle - HEIGHT / 2, middle + HEIGHT / 2
        found.append(PlacedLabel(x + APART, middle, "start", Box(x + APART, top, x + APART + width, bottom)))
        found.append(PlacedLabel(x - APART, middle, "end", Box(x - APART - width, top, x - APART, bottom)))
    return found


def _cost(label: PlacedLabel, wanted: float, inside: Box, others: Sequence[Box]) -> float:
    outside = label.box.area - label.box.overlap(inside)
    return sum(map(label.box.overlap, others)) + OUTSIDE * outside + MOVED * abs(label.y - wanted)
