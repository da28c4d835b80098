"""Many rows of one table: each metric with its interval, and each row's paired difference to a named one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from recsys.metrics.intervals import Interval, bootstrap

Values = Mapping[str, Tensor]
"""Metric → `[seeds, B]`: its value at each request, one line a training seed."""


def summarise(
    rows: Mapping[str, Values],
    users: Int[Tensor, " B"],
    *,
    references: Sequence[str] = (),
    samples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, dict[str, Interval]]:
    """Every row's metrics with bootstrap intervals; differences to a reference stand as `<metric>_minus_<reference>`.

    A row is not compared with itself, and a reference that is not among the rows is passed over.

    Args:
        rows: row → metric → `[seeds, B]`; at least one; all with the same requests in the same order.
        users: `[B]`, whose request it is.
        references: rows every other row is compared with, metric by metric.
        samples: as in `recsys.metrics.intervals.bootstrap`.
        confidence: as there.
        seed: as there; the same users are drawn for every row.

    >>> rows = {"sft": {"hr@1": torch.tensor([[0.0, 1.0]])}, "rere": {"hr@1": torch.tensor([[1.0, 1.0]])}}
    >>> table = summarise(rows, torch.tensor([7, 8]), references=["sft"])
    >>> table["sft"]["hr@1"].value, table["rere"]["hr@1_minus_sft"].value
    (0.5, 0.5)
    """
    means = {row: {metric: value.double().mean(0) for metric, value in values.items()} for row, values in rows.items()}
    columns = {(row, metric): value for row, values in means.items() for metric, value in values.items()}
    for row, values in means.items():
        for reference in references:
            other = {} if reference == row else means.get(reference, {})
            both = [metric for metric in values if metric in other]
            columns |= {(row, f"{metric}_minus_{reference}"): values[metric] - other[metric] for metric in both}
    stacked = torch.stack(list(columns.values()), -1).unsqueeze(0)
    intervals = bootstrap(stacked, users, samples=samples, confidence=confidence, seed=seed)
    table: dict[str, dict[str, Interval]] = {row: {} for row in rows}
    for (row, metric), interval in zip(columns, intervals, strict=True):
        table[row][metric] = interval
    return table
