"""Write tables of results: values with their intervals; the best value of each column is marked."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from recsys.report.formats import interval, number
from recsys.report.markup import Markup, element

Metrics = Mapping[str, Mapping[str, Mapping[str, float | None]]]
"""`{row: {metric: {"value": v, "low": l, "high": h}}}`, as `metrics.json` holds it."""


def metrics_table(
    metrics: Metrics,
    columns: Sequence[str] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    names: Mapping[str, str] | None = None,
    lower_is_better: Collection[str] = (),
    places: int = 4,
    caption: str = "",
) -> Markup:
    """Return a table of results with their 95 % intervals.

    Metrics with the same name before `@` share a heading. The best value of each column is emphasised, with all ties.

    Args:
        metrics: the results. A missing value is shown as a dash.
        columns: metrics in the order of the columns; None means all, in order of appearance.
        groups: headings and the rows below each, in order. Rows without a group are left out. None means all rows.
        names: names of rows and metrics on the page, if other than their keys.
        lower_is_better: metrics whose smallest value is the best.
        places: number of decimals.
        caption: one sentence above the table.
    """
    shown = (
        list(columns) if columns is not None else list(dict.fromkeys(key for row in metrics.values() for key in row))
    )
    parts = {
        heading: [row for row in rows if row in metrics] for heading, rows in (groups or {"": list(metrics)}).items()
    }
    rows = [row for part in parts.values() for row in part]
    best = {column: _best(metrics, rows, column, column in lower_is_better) for column in shown}
    called = names or {}
    bodies = [
        element(
            "tbody",
            *(_group(heading, len(shown)) for _ in range(bool(heading))),
            *(_row(called.get(row, row), metrics[row], shown, best, places) for row in part),
        )
        for heading, part in parts.items()
        if part
    ]
    title = element("caption", element("span", caption)) if caption else Markup()
    table = element("table", title, _head(shown, called), *bodies, class_="metrics")
    return element("div", table, class_="wide", tabindex=0, role="region", aria_label=caption or "Results")


def plain_table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> Markup:
    """Return a table of text. The first cell of each row is its heading."""
    return element(
        "div",
        element(
            "table",
            element("caption", element("span", caption)) if caption else Markup(),
            element("thead", element("tr", *(element("th", word, scope="col") for word in head))),
            element(
                "tbody",
                *(
                    element("tr", element("th", row[0], scope="row"), *(element("td", word) for word in row[1:]))
                    for row in rows
                ),
            ),
            class_="plain",
        ),
        class_="wide",
    )


def _head(columns: Sequence[str], names: Mapping[str, str]) -> Markup:
    """Return the header: metric names, and below them the cutoffs, if any metric has one."""
    families: list[tuple[str, list[str]]] = []
    for column in columns:
        family = column.partition("@")[0]
        if families and families[-1][0] == family and "@" in column:
            families[-1][1].append(column)
        else:
            families.append((family, [column]))
    top, below = [element("td", rowspan=2)], []
    for family, members in families:
        name = names.get(family, family)
        if "@" in members[0]:
            top.append(element("th", name, scope="colgroup", colspan=len(members), class_="family"))
            below += [element("th", f"@{column.partition('@')[2]}", scope="col") for column in members]
        else:
            top.append(element("th", name, scope="col", rowspan=2))
    return element("thead", element("tr", *top), element("tr", *below))


def _group(heading: str, columns: int) -> Markup:
    return element("tr", element("th", heading, scope="rowgroup", colspan=columns + 1), class_="group")


def _row(
    name: str,
    values: Mapping[str, Mapping[str, float | None]],
    columns: Sequence[str],
    best: Mapping[str, float | None],
    places: int,
) -> Markup:
    cells = [_cell(values.get(column, {}), best[column], places) for column in columns]
    return element("tr", element("th", name, scope="row"), *cells)


def _cell(cell: Mapping[str, float | None], best: float | None, places: int) -> Markup:
    value, low, high = cell.get("value"), cell.get("low"), cell.get("high")
    form = partial(number, places=places, leading_zero=False)
    words = form(value)
    shown = element("strong", words) if value is not None and value == best else Markup(words)
    if low is None or high is None:
        return element("td", shown)
    return element("td", shown, element("small", interval(low, high, form)))


def _best(metrics: Metrics, rows: Sequence[str], column: str, smallest: bool) -> float | None:
    values = [metrics[row].get(column, {}).get("value") for row in rows]
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if len(finite) < 2:
        return None
    return min(finite) if smallest else max(finite)
