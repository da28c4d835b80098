"""Draw forest charts: estimates with their intervals beside a reference level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from recsys.report.drawing import CHARACTER, Scale, decimals, extent, figure, line, text, ticks
from recsys.report.formats import number, with_interval
from recsys.report.markup import Markup, element, join
from recsys.report.table import Metrics

ROW = 30.0
"""Height of a row in pixels."""


@dataclass(frozen=True)
class Estimate:
    """An estimate and its interval. Both ends are None if there is no interval."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None

    def verdict(self, level: float = 0.0) -> str:
        """Return `above` or `below` if the interval does not contain the level, else `open`.

        >>> Estimate("a", 0.2, 0.1, 0.3).verdict(), Estimate("b", 0.2, 0.1, 0.3).verdict(0.25)
        ('above', 'open')
        """
        if self.low is None or self.high is None or self.low <= level <= self.high:
            return "open"
        return "above" if self.low > level else "below"


def forest_chart(
    estimates: Sequence[Estimate],
    title: str,
    x_label: str = "",
    places: int = 4,
    width: float = 860,
    note: str = "",
    level: float = 0.0,
) -> Markup:
    """Draw one row for each estimate: a dot at its value, a bar over its interval, and the numbers on the right.

    Args:
        estimates: the estimates, from top to bottom.
        title: title of the chart, which says what is compared with what.
        x_label: name of the quantity on the horizontal axis.
        places: number of decimals.
        width: width in pixels.
        note: one line below the chart.
        level: reference level, drawn as a line across the rows. 0 means that the estimates are differences, which are
            printed with a sign.
    """
    words = [_words(one, places, signed=level == 0) for one in estimates]
    left = 16 + CHARACTER * max((len(one.name) for one in estimates), default=0)
    right = width - 16 - CHARACTER * max((len(word) for word in words), default=0)
    low, high = extent([level, *(end for one in estimates for end in (one.value, one.low, one.high))], 0.06)
    x = Scale(low, high, left, max(left + 60, right))
    bottom = 8 + ROW * len(estimates)
    height = bottom + (42 if x_label else 26)
    marks = ticks(low, high, max(2, round((x.end - x.start) / 80)))
    grid = [
        join(
            line(x(mark), 4, x(mark), bottom, "grid"),
            text(x(mark), bottom + 18, number(mark, decimals(marks), signed=level == 0), "middle", "axis"),
        )
        for mark in marks
    ]
    grid.append(line(x(level), 4, x(level), bottom, "zero"))
    name = text((x.start + x.end) / 2, height - 4, x_label, "middle", "axis") if x_label else Markup()
    rows = [
        _row(one, word, x, 8 + ROW * (index + 0.5), width, one.verdict(level))
        for index, (one, word) in enumerate(zip(estimates, words, strict=True))
    ]
    described = " ".join(f"{one.name}: {word}." for one, word in zip(estimates, words, strict=True)) or "No data."
    return figure(*grid, *rows, name, title=title, description=described, width=width, height=height, note=note)


def _row(one: Estimate, words: str, x: Scale, y: float, width: float, verdict: str) -> Markup:
    """Draw the name, interval, value and numbers of one estimate."""
    whisker = []
    if one.low is not None and one.high is not None:
        start, end = x(one.low), x(one.high)
        whisker = [
            line(start, y, end, y, "whisker"),
            line(start, y - 4, start, y + 4, "whisker"),
            line(end, y - 4, end, y + 4, "whisker"),
        ]
    return element(
        "g",
        text(x.start - 16, y + 4, one.name, "end", "label"),
        *whisker,
        element("circle", cx=x(one.value), cy=y, r=4.5, class_="dot"),
        text(width, y + 4, words, "end", "numbers"),
        class_=f"row {verdict}",
    )


def _words(one: Estimate, places: int, signed: bool) -> str:
    return with_interval(one.value, one.low, one.high, partial(number, places=places, signed=signed))


def difference_charts(metrics: Metrics, metric: str, title: str, references: Sequence[str]) -> Markup:
    """Draw a forest chart of differences for each reference row.

    Args:
        metrics: the results, with `<metric>_minus_<reference>` in the rows that are compared.
        metric: key of the metric.
        title: name of the metric on the page.
        references: reference rows. A reference that no row is compared with gets no chart.
    """
    charts = []
    for reference in references:
        key = f"{metric}_minus_{reference}"
        rows = [
            Estimate(row, value, cells[key]["low"], cells[key]["high"])
            for row, cells in metrics.items()
            if key in cells and (value := cells[key]["value"]) is not None
        ]
        if rows:
            charts.append(forest_chart(rows, f"{title} against {reference}, the same users", "difference"))
    return join(*charts)
