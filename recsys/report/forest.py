"""Forest charts: differences with their intervals beside zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recsys.report.frame import CHARACTER, figure, line, text
from recsys.report.markup import Markup, element, join
from recsys.report.scale import Scale, decimals, extent, number, ticks
from recsys.report.table import Metrics

ROW = 30.0
"""Height of a row in pixels."""


@dataclass(frozen=True)
class Difference:
    """An estimate and its interval; both ends None where there is none."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None

    @property
    def verdict(self) -> str:
        """`above` or `below` where the interval leaves zero out, else `open`.

        >>> Difference("a", 0.2, 0.1, 0.3).verdict, Difference("b", 0.2, -0.1, 0.3).verdict
        ('above', 'open')
        """
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return "open"
        return "above" if self.low > 0 else "below"


def forest_chart(
    differences: Sequence[Difference],
    title: str,
    x_label: str = "",
    places: int = 4,
    width: float = 860,
    note: str = "",
) -> Markup:
    """One row a difference: a dot at the estimate, a bar over the interval, the numbers to the right.

    Args:
        differences: from top to bottom.
        title: what is compared with what.
        x_label: what the horizontal axis measures.
        places: decimals of the numbers.
        width: pixels.
        note: one line below the chart.
    """
    words = [_words(one, places) for one in differences]
    left = 16 + CHARACTER * max((len(one.name) for one in differences), default=0)
    right = width - 16 - CHARACTER * max((len(word) for word in words), default=0)
    low, high = extent([0.0, *(end for one in differences for end in (one.value, one.low, one.high))], 0.06)
    x = Scale(low, high, left, max(left + 60, right))
    bottom = 8 + ROW * len(differences)
    height = bottom + (42 if x_label else 26)
    marks = ticks(low, high, max(2, round((x.end - x.start) / 80)))
    grid = [
        join(
            line(x(mark), 4, x(mark), bottom, "grid" if mark else "zero"),
            text(x(mark), bottom + 18, number(mark, decimals(marks), signed=True), "middle", "axis"),
        )
        for mark in marks
    ]
    name = text((x.start + x.end) / 2, height - 4, x_label, "middle", "axis") if x_label else Markup()
    rows = [
        _row(one, word, x, 8 + ROW * (index + 0.5), width)
        for index, (one, word) in enumerate(zip(differences, words, strict=True))
    ]
    described = " ".join(f"{one.name}: {word}." for one, word in zip(differences, words, strict=True)) or "No data."
    return figure(*grid, *rows, name, title=title, description=described, width=width, height=height, note=note)


def _row(one: Difference, words: str, x: Scale, y: float, width: float) -> Markup:
    """Name, interval, estimate, numbers."""
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
        class_=f"row {one.verdict}",
    )


def _words(one: Difference, places: int) -> str:
    estimate = number(one.value, places, signed=True)
    if one.low is None or one.high is None:
        return estimate
    return f"{estimate} [{number(one.low, places, signed=True)}, {number(one.high, places, signed=True)}]"


def difference_charts(metrics: Metrics, metric: str, title: str, references: Sequence[str]) -> Markup:
    """A chart for each reference that rows are compared with.

    Args:
        metrics: the results, with `<metric>_minus_<reference>` in the rows that are compared.
        metric: of the differences.
        title: what the metric is called.
        references: rows; one that nothing is compared with has no chart.
    """
    charts = []
    for reference in references:
        key = f"{metric}_minus_{reference}"
        rows = [
            Difference(row, value, cells[key]["low"], cells[key]["high"])
            for row, cells in metrics.items()
            if key in cells and (value := cells[key]["value"]) is not None
        ]
        if rows:
            charts.append(forest_chart(rows, f"{title} against {reference}, the same users", "difference"))
    return join(*charts)
