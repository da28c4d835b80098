"""The tables that an evaluation of sessions prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from rich import box
from rich.markup import escape
from rich.table import Table

from recsys.metrics.results import Results
from recsys.report.formats import interval, number

METRIC = partial(number, leading_zero=False)
DIFFERENCE = partial(METRIC, signed=True)


def judged_table(table: Results, heads: Sequence[str], title: str) -> Table:
    """Return the judge's probability of each head: the mean over a row's sampled sessions, and the largest.

    Args:
        table: results.
        heads: of the judge.
        title: of the table.
    """
    view = _table(["", *(f"{head}\n{part}" for head in heads for part in ("mean", "max"))], title)
    for row, cells in table.items():
        found = (cells.get(f"judge_{part}/{head}") for head in heads for part in ("mean", "max"))
        view.add_row(escape(row), *("" if one is None else METRIC(one["value"]) for one in found))
    view.caption, view.caption_justify = "the judge's probability: mean and largest of a request's sessions", "left"
    return view


def outcome_table(table: Results, channels: Sequence[str], reference: str | None) -> Table:
    """Return recall and NDCG of the served sessions for what users engaged with, the first channel with intervals.

    Args:
        table: results.
        channels: of outcomes.
        reference: row that others are compared with; None for no comparison.
    """
    first = channels[0]
    minus = [] if reference is None else [f"minus\n{reference}", "95 %"]
    rest = [f"{name}\n{channel}" for channel in channels[1:] for name in ("recall", "ndcg")]
    view = _table(["", f"recall\n{first}", f"ndcg\n{first}", "95 %", *minus, *rest])
    for row, cells in table.items():
        ndcg, recall = cells.get(f"ndcg/{first}"), cells.get(f"recall/{first}")
        difference = cells.get(f"ndcg/{first}_minus_{reference}")
        others = (cells.get(f"{name}/{channel}") for channel in channels[1:] for name in ("recall", "ndcg"))
        view.add_row(
            escape(row),
            _value(recall),
            *_value_and_interval(ndcg, METRIC),
            *(_value_and_interval(difference, DIFFERENCE) if minus else ()),
            *map(_value, others),
        )
    view.caption, view.caption_justify = "served sessions against what users engaged with", "left"
    return view


Cell = Mapping[str, float | None] | None


def _value(cell: Cell) -> str:
    return "" if cell is None else METRIC(cell["value"])


def _value_and_interval(cell: Cell, form: partial[str]) -> tuple[str, str]:
    return ("", "") if cell is None else (form(cell["value"]), interval(cell["low"], cell["high"], form))


def _table(columns: Sequence[str], title: str | None = None) -> Table:
    view = Table(
        title=title and escape(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    for name in columns:
        view.add_column(escape(name), justify="right" if name else "left", no_wrap=True)
    return view
