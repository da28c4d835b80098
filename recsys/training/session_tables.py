"""The tables that an evaluation of sessions prints, and where its judge and the users disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from recsys.metrics.results import Results
from recsys.report.console import Column, ConsoleTable
from recsys.report.formats import interval, number

METRIC = partial(number, leading_zero=False)
DIFFERENCE = partial(METRIC, signed=True)
ROW = Column("", words=True)


Cell = Mapping[str, float | None] | None


@dataclass(frozen=True)
class Disagreement:
    """A row whose judged and real differences to a reference have opposite signs, both with intervals that leave out 0.

    Args:
        row: of the results.
        head: of the judge.
        judged: difference of the judge's mean probability, with its interval.
        channel: of outcomes.
        real: difference of NDCG for it, with its interval.
    """

    row: str
    head: str
    judged: Mapping[str, float | None]
    channel: str
    real: Mapping[str, float | None]


def disagreements(
    table: Results, heads: Sequence[str], channels: Sequence[str], reference: str | None
) -> list[Disagreement]:
    """Return every disagreement of judge and users about how a row differs from the reference.

    A head is compared with the channel of its name, other heads with the first channel.

    Args:
        table: results.
        heads: of the judge.
        channels: of outcomes, at least one.
        reference: row that others are compared with; None finds nothing.
    """
    found = []
    for row, cells in table.items():
        for head in heads:
            channel = head if head in channels else channels[0]
            judged = cells.get(f"judge_mean/{head}_minus_{reference}")
            real = cells.get(f"ndcg/{channel}_minus_{reference}")
            if judged is not None and real is not None and _sign(judged) * _sign(real) < 0:
                found.append(Disagreement(row, head, judged, channel, real))
    return found


def disagreement_table(found: Sequence[Disagreement], reference: str | None) -> ConsoleTable:
    """Return the disagreements as a table; one line says so where there are none.

    Args:
        found: the disagreements.
        reference: row that others are compared with.
    """
    columns = [ROW, Column("judged", words=True), Column("difference"), Column("95 %")]
    columns += [Column("users", words=True), Column("difference", name="real difference"), Column("95 %", name="real")]
    rows = [
        [
            one.row,
            one.head,
            *_value_and_interval(one.judged, DIFFERENCE),
            f"ndcg/{one.channel}",
            *_value_and_interval(one.real, DIFFERENCE),
        ]
        for one in found
    ]
    none = ["none", *[""] * (len(columns) - 1)]
    title = f"where the judge and the users disagree about the difference to {reference}, both intervals without 0"
    return ConsoleTable(columns, rows or [none], title)


def quality_table(quality: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> ConsoleTable:
    """Return how well each reward model orders logged sessions by what happened: ½ is chance, 1 is perfect.

    Args:
        quality: of each model and each of its heads, as `recsys.training.session_details.quality_of` tells.
    """
    heads = list(next(iter(quality.values())))
    rows = [[name, *(METRIC(of[head]["auc"]) for head in heads)] for name, of in quality.items()]
    title = "AUC on the test sessions; a model at .5 knows nothing of them, and neither does what it prefers"
    return ConsoleTable([Column("", words=True), *map(Column, heads)], rows, title)


def judged_table(table: Results, heads: Sequence[str], candidates: int, title: str) -> ConsoleTable:
    """Return the judge's probability of each head: the mean over a row's sampled sessions, and the largest.

    Args:
        table: results.
        heads: of the judge.
        candidates: sampled sessions of a request.
        title: of the table.
    """
    parts = [(part, head) for head in heads for part in ("mean", "max")]
    rows = [[row, *(_value(cells.get(f"judge_{part}/{head}")) for part, head in parts)] for row, cells in table.items()]
    columns = [ROW, *(Column(f"{head}\n{part}") for part, head in parts)]
    caption = (
        f"the judge's probability: mean and largest of {candidates} sampled sessions of a request; of best-of rows, of "
        "the one that is served"
    )
    return ConsoleTable(columns, rows, title, caption)


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


def _sign(cell: Mapping[str, float | None]) -> int:
    """Return the sign of a difference, 0 where its interval is unknown or holds 0."""
    low, high = cell["low"], cell["high"]
    if low is None or high is None:
        return 0
    return int(low > 0) - int(high < 0)


def _value(cell: Cell) -> str:
    return "" if cell is None else METRIC(cell["value"])


def _value_and_interval(cell: Cell, form: partial[str]) -> tuple[str, str]:
    return ("", "") if cell is None else (form(cell["value"]), interval(cell["low"], cell["high"], form))
