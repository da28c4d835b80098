"""Draw what policies earn over how new, or how unlike each other, the items are that they show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recsys.report.chart import LARGE, axes, colour
from recsys.report.drawing import Scale, extent, figure, line, text
from recsys.report.formats import significant, with_interval
from recsys.report.labels import HEIGHT, Box, PlacedLabel, labels_beside
from recsys.report.markup import Markup, element
from recsys.report.table import Metrics

EARNED = "reward"
SHOWN = {"novelty": "novelty of the items of a slate", "diversity": "diversity of a slate"}
"""What is on the horizontal axis, the first that there is, and what it is called there."""

LEAD = (
    "One point a policy: what it earns, over how new to their users its items are or, where the simulator does not"
    " tell, how unlike each other. Bars are 95 % intervals over users and seeds; up and to the right is more of both."
)

DOT, BAR = 4.5, 3.0
"""Radius of a point, and what labels keep off the middle of a bar where they can, in pixels."""

Ends = tuple[float, float]


@dataclass(frozen=True)
class Point:
    """A policy in the chart.

    Args:
        name: on the page.
        x: horizontal value.
        y: vertical value.
        x_ends: of its interval; None where there is none.
        y_ends: likewise.
        look: CSS class that gives the colour.
    """

    name: str
    x: float
    y: float
    x_ends: Ends | None
    y_ends: Ends | None
    look: str


def trade_off_chart(
    metrics: Metrics, lines: Mapping[str, Sequence[str]] | None = None, names: Mapping[str, str] | None = None
) -> Markup:
    """Draw one point for each row that has both numbers, with bars over their intervals.

    Rows have the colours that charts with a series for each row, in the same order, give them.

    Args:
        metrics: the results; reward is drawn over novelty, or over diversity where no row has novelty.
        lines: rows that are joined by a line in this order, such as one policy at several settings, by the name of the
            line. Rows that are not drawn are passed over; a line of fewer than two is none.
        names: names of rows on the page, if other than their keys.
    """
    called = names or {}
    across = next((key for key in SHOWN if any(_number(row, key) is not None for row in metrics.values())), "novelty")
    title = f"Reward a user and session, over {across}"
    drawn = {
        row: Point(called.get(row, row), x, y, _ends(cells, across), _ends(cells, EARNED), colour(index))
        for index, (row, cells) in enumerate(metrics.items())
        if (x := _number(cells, across)) is not None and (y := _number(cells, EARNED)) is not None
    }
    if not drawn:
        nothing = text(0, 20, "no policy has both numbers", kind="axis")
        return figure(nothing, title=title, description="No data.", width=LARGE.width, height=LARGE.height)
    points = list(drawn.values())
    x, y, grid = axes(
        extent([value for one in points for value in (one.x, *(one.x_ends or ()))], 0.06),
        extent([value for one in points for value in (one.y, *(one.y_ends or ()))], 0.06),
        LARGE, 16, SHOWN[across],
    )  # fmt: skip
    joined = {name: [drawn[row] for row in rows if row in drawn] for name, rows in (lines or {}).items()}
    joined = {name: family for name, family in joined.items() if len(family) > 1}
    paths = [_path(name, family, x, y) for name, family in joined.items()]
    words = " ".join(f"{name}: {', '.join(one.name for one in family)}." for name, family in joined.items())
    note = f"Lines join one policy at several settings. {words}" if joined else ""
    return figure(
        grid, *paths, *(_bars(one, x, y) for one in points), *_dots(points, across, x, y),
        title=title, description=" ".join(f"{_describe(one, across)}." for one in points) + f" {note}".rstrip(),
        width=LARGE.width, height=LARGE.height, note=note,
    )  # fmt: skip


def _number(cells: Mapping[str, Mapping[str, float | None]], key: str) -> float | None:
    value = cells.get(key, {}).get("value")
    return value if value is not None and math.isfinite(value) else None


def _ends(cells: Mapping[str, Mapping[str, float | None]], key: str) -> Ends | None:
    low, high = cells[key].get("low"), cells[key].get("high")
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return None
    return low, high


def _path(name: str, family: Sequence[Point], x: Scale, y: Scale) -> Markup:
    """Join the points of a line."""
    corners = "L".join(f"{x(one.x):.1f},{y(one.y):.1f}" for one in family)
    return element("path", element("title", name), d="M" + corners, class_="joined")


def _bars(point: Point, x: Scale, y: Scale) -> Markup:
    """Draw the intervals of a point."""
    across = [line(*_horizontal(point.x_ends, point.y, x, y), "error-bar")] if point.x_ends else []
    upwards = [line(*_vertical(point.x, point.y_ends, x, y), "error-bar")] if point.y_ends else []
    return element("g", *across, *upwards, class_=point.look)


def _horizontal(ends: Ends, level: float, x: Scale, y: Scale) -> tuple[float, float, float, float]:
    return x(ends[0]), y(level), x(ends[1]), y(level)


def _vertical(at: float, ends: Ends, x: Scale, y: Scale) -> tuple[float, float, float, float]:
    return x(at), y(ends[0]), x(at), y(ends[1])


def _dots(points: Sequence[Point], across: str, x: Scale, y: Scale) -> list[Markup]:
    """Draw the points, each with its name beside it and its numbers on hover."""
    places = [(x(one.x), y(one.y)) for one in points]
    taken = [Box(left - DOT, top - DOT, left + DOT, top + DOT) for left, top in places]
    for one in points:
        if one.x_ends:
            left, top, right, _ = _horizontal(one.x_ends, one.y, x, y)
            taken.append(Box(left, top - BAR, right, top + BAR))
        if one.y_ends:
            left, bottom, _, top = _vertical(one.x, one.y_ends, x, y)
            taken.append(Box(left - BAR, top, left + BAR, bottom))
    labels = labels_beside(places, [one.name for one in points], Box(x.start, y.end, LARGE.width, y.start), taken)
    return [
        element(
            "g",
            _leader(place, label),
            element("circle", element("title", _describe(one, across)), cx=place[0], cy=place[1], r=DOT, class_="dot"),
            text(label.x, label.y + 4, one.name, label.anchor, f"label {one.look}"),
            class_=f"point {one.look}",
        )
        for one, place, label in zip(points, places, labels, strict=True)
    ]


def _leader(place: tuple[float, float], label: PlacedLabel) -> Markup:
    """Return a thin line from a point to its label where that stands further off."""
    far = abs(label.y - place[1]) > HEIGHT
    return line(*place, label.x, label.y, "leader") if far else Markup()


def _describe(point: Point, across: str) -> str:
    """Return the name and both numbers with their intervals."""
    both = ((across, point.x, point.x_ends), (EARNED, point.y, point.y_ends))
    numbers = ", ".join(
        f"{key} {with_interval(value, *(ends or (None, None)), significant)}" for key, value, ends in both
    )
    return f"{point.name}: {numbers}"
