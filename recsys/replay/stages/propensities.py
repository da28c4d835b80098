"""What a report says of propensities."""

from __future__ import annotations

import polars as pl

from recsys.replay.checks import PROPENSITIES
from recsys.report.markup import Markup, join
from recsys.report.scale import number
from recsys.report.table import plain_table

PLACES = 4

INVERSE = "One over the propensity averages the number of actions that could be taken, if propensities are right."
ESTIMATED = (
    "The log's propensities were learnt from what it chose, each by a model that had not seen the user, and every"
    " figure here rests on them. They are right only if all that the logging policy looked at is in the context, which"
    " no table can show. In each bin the share that was chosen ought to be the mean probability."
)


def inverse(table: pl.DataFrame, confidence: float) -> Markup:
    """What one over each log's propensities averages.

    Args:
        table: estimates of the checks.
        confidence: of their intervals.
    """
    known = table.filter(pl.col("estimator") == PROPENSITIES).unique("log", maintain_order=True)
    rows = [
        [row["log"], f"{row['value']:,.4g}", f"[{row['low']:,.4g}, {row['high']:,.4g}]"]
        for row in known.iter_rows(named=True)
    ]
    return plain_table(["log", "mean of one over the propensity", f"{confidence:.0%} interval"], rows)


def estimated(logs: pl.DataFrame, bins: pl.DataFrame) -> Markup:
    """How far estimated propensities agree with what was chosen.

    Args:
        logs: one row a log.
        bins: of each log's reliability table.
    """
    rows = [
        [
            row["log"],
            f"{row['inverse']:,.4g} ± {row['inverse_error']:.2g}",
            f"{row['actions']:,.4g}",
            f"{row['error']:.4g}",
        ]
        for row in logs.iter_rows(named=True)
    ]
    head = ["log", "mean of one over the propensity", "actions that could be chosen", "calibration error"]
    cells = [
        [
            row["log"],
            f"{row['low']:g} to {row['high']:g}",
            f"{row['pairs']:,}",
            number(row["predicted"], PLACES),
            number(row["chosen"], PLACES),
        ]
        for row in bins.iter_rows(named=True)
    ]
    return join(
        plain_table(head, rows),
        plain_table(["log", "probability", "rounds and actions", "mean probability", "share chosen"], cells),
    )
