"""The tables that an evaluation of sessions prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from recsys.metrics.results import Results
from recsys.report.console import Column, ConsoleTable
from recsys.report.formats import interval, number

METRIC = partial(number, leading_zero=False)
DIFFERENCE = partial(METRIC, signed=True)
ROW = Column("", words=True)


def judged_table(table: Results, heads: Sequence[str], title: str) -> ConsoleTable:
    """Return the judge's probability of each head: the mean over a row's sampled sessions, and the largest.

    Args:
        table: results.
        heads: of the judge.
        title: of the table.
    """
    parts = [(part, head) for head in heads for part in ("mean", "max")]
    rows = [[row, *(_value(cells.get(f"judge_{part}/{head}")) for part, head in parts)] for row, cells in table.items()]
    columns = [ROW, *(Column(f"{head}\n{part}") for part, head in parts)]
    return ConsoleTable(columns, rows, title, "the judge's probability: mean and largest of a request's sessions")


def outcome_table(table: Results, channels: Sequence[str], reference: str | None) -> ConsoleTable:
    """Return recall and NDCG of the served sessions for what users engaged with, the first channel with intervals.

    Args:
        table: results.
        channels: of outcomes.
        reference: row that others are compared with; None for no comparison.
    """
    first, rest = channels[0], [(name, channel) for channel in channels[1:] for name in ("recall", "ndcg")]
    minus = [] if reference is None else [Column(f"minus\n{reference}"), Column("95 %", name="minus 95 %")]
    columns = [ROW, Column(f"recall\n{first}"), Column(f"ndcg\n{first}"), Column("95 %"), *minus]
    columns += [Column(f"{name}\n{channel}") for name, channel in rest]
    rows = []
    for row, cells in table.items():
        difference = _value_and_interval(cells.get(f"ndcg/{first}_minus_{reference}"), DIFFERENCE)
        ndcg = _value_and_interval(cells.get(f"ndcg/{first}"), METRIC)
        others = (_value(cells.get(f"{name}/{channel}")) for name, channel in rest)
        rows.append([row, _value(cells.get(f"recall/{first}")), *ndcg, *difference[: len(minus)], *others])
    return ConsoleTable(columns, rows, "", "served sessions against what users engaged with")


Cell = Mapping[str, float | None] | None


def _value(cell: Cell) -> str:
    return "" if cell is None else METRIC(cell["value"])


def _value_and_interval(cell: Cell, form: partial[str]) -> tuple[str, str]:
    return ("", "") if cell is None else (form(cell["value"]), interval(cell["low"], cell["high"], form))
