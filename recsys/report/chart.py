"""Draw line charts of several series with bands; each series is labelled at its end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from recsys.report.drawing import CHARACTER, Scale, decimals, extent, figure, line, spread_labels, text, ticks
from recsys.report.formats import number
from recsys.report.markup import Markup, element, join

COLOURS = 8
"""Number of series of a chart that have a colour of their own. The others are grey."""


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Args:
        name: name of the series, written at its end.
        x: horizontal values, ascending.
        y: vertical values, one for each of `x`. None or a value that is not finite leaves a gap.
        low: lower edge of the band around the line; None means no band.
        high: upper edge of the band; None means no band.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    low: Sequence[float | None] | None = None
    high: Sequence[float | None] | None = None


@dataclass(frozen=True)
class Size:
    """Width and height of a drawing in pixels, axes and labels included."""

    width: float
    height: float


LARGE = Size(860, 340)
SMALL = Size(340, 210)


def line_chart(
    series: Sequence[Series],
    title: str,
    x_label: str = "",
    references: Mapping[str, float] | None = None,
    size: Size = LARGE,
    note: str = "",
) -> Markup:
    """Draw one or more series over common axes.

    A single series is labelled with its last value, several series with their names. Colours follow the order of
    `series`, so charts with the same series in the same order use the same colours.

    Args:
        series: the series. The first `COLOURS` have different colours.
        title: name of the quantity on the vertical axis.
        x_label: name of the quantity on the horizontal axis.
        references: levels that are drawn as dashed lines, by name.
        size: `LARGE` for a single chart, `SMALL` for one of several.
        note: one line below the chart.
    """
    levels = dict(references or {})
    if not any(_drawable(value) for one in series for value in one.y):
        nothing = text(0, 20, "nothing was logged", kind="axis")
        return figure(nothing, title=title, description="No data.", width=size.width, height=size.height, note=note)
    drawable = [one for one in series if any(_drawable(value) for value in one.y)]
    endings = [one.name if len(series) > 1 else number(_last(one)[1], 4) for one in drawable]
    room = 14 + CHARACTER * max((len(word) for word in [*endings, *levels]), default=0)
    x, y, grid = _axes(drawable, levels, size, room, x_label)
    lines = [_line(one, colour(series.index(one)), x, y) for one in drawable]
    ends = [y(_last(one)[1]) for one in drawable] + [y(level) for level in levels.values()]
    places = spread_labels(ends, 15, y.end, y.start)
    labels = [
        text(x.end + 10, place + 4, word, kind=f"label {kind}")
        for place, word, kind in zip(
            places,
            [*endings, *levels],
            [*(colour(series.index(one)) for one in drawable), *("reference" for _ in levels)],
            strict=True,
        )
    ]
    return figure(
        grid, *lines, *labels,
        title=title, description=_describe(drawable, levels, x_label), width=size.width, height=size.height, note=note,
    )  # fmt: skip


def downsampled(series: Series, points: int = 200) -> Series:
    """Shorten a long series to means over equal parts, with a band from the smallest to the largest value of each part.

    >>> downsampled(Series("loss", range(4), [4.0, 2.0, 1.0, 3.0]), points=2)
    Series(name='loss', x=[0.5, 2.5], y=[3.0, 2.0], low=[2.0, 1.0], high=[4.0, 3.0])
    """
    kept = [(at, value) for at, value in zip(series.x, series.y, strict=True) if _drawable(value)]
    if len(kept) <= points:
        return series
    edges = [round(step * len(kept) / points) for step in range(points + 1)]
    groups = [kept[start:stop] for start, stop in pairwise(edges)]
    values = [[value for _, value in group if value is not None] for group in groups]
    return Series(
        series.name,
        [sum(at for at, _ in group) / len(group) for group in groups],
        [sum(group) / len(group) for group in values],
        [min(group) for group in values],
        [max(group) for group in values],
    )


def _axes(
    series: Sequence[Series], levels: Mapping[str, float], size: Size, room: float, x_label: str
) -> tuple[Scale, Scale, Markup]:
    """Return both scales, and the grid with its numbers."""
    low, high = extent(
        [*(value for one in series for part in (one.y, one.low, one.high) for value in part or ()), *levels.values()],
        0.06,
    )
    steps = extent([at for one in series for at in one.x])
    x, y, grid = axes(steps, (low, high), size, room, x_label)
    dashed = [line(x.start, y(level), x.end, y(level), "dashed") for level in levels.values()]
    return x, y, join(grid, *dashed)


def axes(
    across: tuple[float, float], upwards: tuple[float, float], size: Size, room: float, x_label: str = ""
) -> tuple[Scale, Scale, Markup]:
    """Return the horizontal and the vertical scale of a chart, and its grid with the numbers.

    Args:
        across: least and largest horizontal value.
        upwards: least and largest vertical value.
        size: of the chart.
        room: pixels that are left free on the right.
        x_label: name of the quantity on the horizontal axis; may be empty.
    """
    top, bottom = 12.0, size.height - (40.0 if x_label else 24.0)
    marks = ticks(*upwards, max(3, round((bottom - top) / 55)))
    words = [number(mark, decimals(marks)) for mark in marks]
    left = 8 + CHARACTER * max(len(word) for word in words) if words else 8
    x, y = Scale(*across, left, max(left + 40, size.width - room)), Scale(*upwards, bottom, top)
    rows = [
        join(line(x.start, y(mark), x.end, y(mark), "grid"), text(x.start - 6, y(mark) + 4, word, "end", "axis"))
        for mark, word in zip(marks, words, strict=True)
    ]
    below = ticks(*across, max(2, round((x.end - x.start) / 90)))
    columns = [text(x(mark), bottom + 18, number(mark, decimals(below)), "middle", "axis") for mark in below]
    name = text((x.start + x.end) / 2, size.height - 4, x_label, "middle", "axis") if x_label else Markup()
    return x, y, join(*rows, *columns, line(x.start, bottom, x.end, bottom, "base"), name)


def _line(series: Series, colour: str, x: Scale, y: Scale) -> Markup:
    """Draw band, line and a dot at the end. Points show their values on hover."""
    band = [
        (x(at), y(low), y(high))
        for at, low, high in zip(series.x, series.low or (), series.high or (), strict=False)
        if low is not None and high is not None and math.isfinite(low) and math.isfinite(high)
    ]
    edge = [(at, high) for at, _, high in band] + [(at, low) for at, low, _ in reversed(band)]
    shade = element("path", d="M" + "L".join(_point(*corner) for corner in edge) + "Z", class_="band") if band else ""
    runs: list[list[str]] = [[]]
    for at, value in zip(series.x, series.y, strict=True):
        if value is not None and math.isfinite(value):
            runs[-1].append(_point(x(at), y(value)))
        elif runs[-1]:
            runs.append([])
    stroke = element("path", d="".join("M" + "L".join(run) for run in runs if run), class_="line")
    at, value = _last(series)
    dot = element("circle", cx=x(at), cy=y(value), r=3.5, class_="dot")
    spots = [
        element("circle", element("title", f"{series.name}: {number(value)} at {at:g}"), cx=x(at), cy=y(value), r=6)
        for at, value in zip(series.x, series.y, strict=True)
        if value is not None and math.isfinite(value)
    ]
    hover = element("g", *spots, class_="spots") if len(spots) <= 60 else Markup()
    return element("g", Markup(shade), stroke, dot, hover, class_=colour)


def colour(index: int) -> str:
    """Return the CSS class of the series at a place of the chart."""
    return f"series-{index + 1}" if index < COLOURS else "series-more"


def _point(x: float, y: float) -> str:
    return f"{x:.1f},{y:.1f}"


def _drawable(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _last(series: Series) -> tuple[float, float]:
    """Return the last point with a finite value."""
    return next(
        (at, value)
        for at, value in zip(reversed(series.x), reversed(series.y), strict=True)
        if value is not None and math.isfinite(value)
    )


def _describe(series: Sequence[Series], levels: Mapping[str, float], x_label: str) -> str:
    """Describe the chart for screen readers."""
    words = [
        f"{one.name}: {number(next(value for value in one.y if _drawable(value)))} at first, "
        f"{number(_last(one)[1])} at {x_label or 'the end'} {_last(one)[0]:g}."
        for one in series
    ]
    return " ".join([*words, *(f"{name} is at {number(level)}." for name, level in levels.items())])
