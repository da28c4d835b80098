"""Tables of results: metrics with bootstrap intervals, paired differences, strata, and values of each user.

If timestamps are coarse, the order of events of one day is decided by a tie-breaking rule. A model can score by
learning that rule. Strata of requests, such as same day and other day, show whether it does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.metrics.evaluation import Evaluation
from recsys.metrics.intervals import Interval, bootstrap

Values = Mapping[str, Tensor]
"""Values `[seeds, B]` of each metric, for each training seed and request."""


def summarise(
    rows: Mapping[str, Values],
    users: Int[Tensor, " B"],
    *,
    references: Sequence[str] = (),
    samples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, dict[str, Interval]]:
    """Return the mean of each metric of each row, with bootstrap intervals over users.

    Paired differences from a reference are named `<metric>_minus_<reference>`. A row is not compared with itself.
    References that are not among the rows are ignored.

    Args:
        rows: values `[seeds, B]` by row and metric. There is at least one row. All rows have the same requests in the
            same order.
        users: `[B]`, user of each request.
        references: rows that every other row is compared with, metric by metric.
        samples: as in `recsys.metrics.bootstrap`.
        confidence: as in `recsys.metrics.bootstrap`.
        seed: seed of the bootstrap. The same users are drawn for every row.

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


def by_stratum(
    rows: Mapping[str, Values],
    users: Int[Tensor, " B"],
    strata: Mapping[str, Bool[Tensor, " B"]],
    *,
    samples: int = 2000,
    seed: int = 0,
) -> dict[str, dict[str, Interval]]:
    """Return the mean of each metric over the requests of each stratum, as `<metric>/<stratum>`.

    Strata without requests are left out.

    Args:
        rows: as in `summarise`.
        users: as in `summarise`.
        strata: mask `[B]` of the requests of each stratum, by name. Strata may overlap.
        samples: as in `summarise`.
        seed: as in `summarise`.

    >>> import torch
    >>> mask = torch.tensor([True, False])
    >>> rows = {"sft": {"hr@1": torch.tensor([[0.0, 1.0]])}}
    >>> table = by_stratum(rows, torch.tensor([7, 8]), {"same_day": mask, "other_day": ~mask})
    >>> table["sft"]["hr@1/same_day"].value, table["sft"]["hr@1/other_day"].value
    (0.0, 1.0)
    """
    table: dict[str, dict[str, Interval]] = {row: {} for row in rows}
    for stratum, mask in strata.items():
        if not mask.any():
            continue
        part = {row: {metric: value[:, mask] for metric, value in values.items()} for row, values in rows.items()}
        for row, metrics in summarise(part, users[mask], samples=samples, seed=seed).items():
            table[row] |= {f"{metric}/{stratum}": interval for metric, interval in metrics.items()}
    return table


Rows = Mapping[str, Mapping[int, Evaluation]]
"""Evaluations by row and training seed. All have the same requests in the same order. Untrained rows have one seed."""

Results = dict[str, dict[str, dict[str, float | None]]]
"""`{row: {metric: {"value": v, "low": l, "high": h}}}`, as `metrics.json` holds it."""


def evaluation_results(
    rows: Rows,
    num_items: int,
    *,
    references: Sequence[str] = (),
    strata: Mapping[str, Bool[Tensor, " B"]] | None = None,
    information: Float[Tensor, " N"] | None = None,
    vectors: Float[Tensor, "N D"] | None = None,
    samples: int = 2000,
    seed: int = 0,
) -> Results:
    """Return the metrics of each row: means over requests and seeds, with 95 % bootstrap intervals over users.

    `hr@k` and `ndcg@k` have paired differences `<metric>_minus_<reference>` and, for each stratum,
    `<metric>/<stratum>`. `coverage@k` and `gini@k` describe all lists together and have no interval, and
    neither has `tied@k`, the share of requests with a tie at place `k` (`Evaluation.ties`).

    Args:
        rows: evaluations by row and training seed, at least one.
        num_items: number of items `N` of the catalogue.
        references: rows that all other rows are compared with, such as `sft` and its controls.
        strata: mask of the requests of each stratum, by name, such as `same_day` and `other_day`.
        information: self-information of items; adds `novelty@k`, see `Evaluation.novelty`.
        vectors: vectors of items; adds `diversity@k`, see `Evaluation.diversity`.
        samples: number of resamples of the bootstrap.
        seed: seed of the bootstrap.
    """
    users = _users(rows)
    accuracy = {row: _by_seed([one.accuracy() for one in seeds.values()]) for row, seeds in rows.items()}
    intervals = summarise(accuracy, users, references=references, samples=samples, seed=seed)
    parts = by_stratum(accuracy, users, strata or {}, samples=samples, seed=seed)
    table: Results = {}
    for row, seeds in rows.items():
        found = {name: interval.to_dict() for name, interval in (intervals[row] | parts[row]).items()}
        table[row] = found | _beyond_accuracy(list(seeds.values()), num_items, information, vectors)
    return table


def per_user(rows: Rows, user_ids: pl.Series) -> pl.DataFrame:
    """Return the table that `metrics.parquet` holds: `user_id`, `row`, `metric`, `seed`, `value`.

    It allows paired comparisons of two runs. The value of a user with several requests is the mean over them.

    Args:
        rows: as in `evaluation_results`.
        user_ids: raw id of each user index.
    """
    users = _users(rows).numpy()
    frames = [
        pl.DataFrame({"user": users, "value": value.cpu().numpy()}).with_columns(
            row=pl.lit(row), metric=pl.lit(metric), seed=pl.lit(seed, pl.Int64)
        )
        for row, seeds in rows.items()
        for seed, evaluation in seeds.items()
        for metric, value in evaluation.accuracy().items()
    ]
    means = pl.concat(frames).group_by("row", "metric", "seed", "user", maintain_order=True).agg(pl.col("value").mean())
    names = pl.DataFrame({"user": np.arange(len(user_ids)), "user_id": user_ids})
    named = means.join(names, on="user", how="left", maintain_order="left")
    return named.select("user_id", "row", "metric", "seed", "value")


def values_per_user(rows: Mapping[str, Mapping[str, Tensor]], user_ids: pl.Series, seed: int) -> pl.DataFrame:
    """Return the table that `metrics.parquet` holds, from values of requests: a user's mean over those that have one.

    Args:
        rows: `[B]` values by row and metric; NaN where a request has none.
        user_ids: `[B]`, raw id of the user of each request.
        seed: the training seed of all of them.

    >>> rows = {"sft": {"recall": torch.tensor([1.0, 0.5, float("nan")])}}
    >>> values_per_user(rows, pl.Series(["a", "a", "b"]), 0).rows()
    [('a', 'sft', 'recall', 0, 0.75)]
    """
    frames = [
        pl.DataFrame({"user_id": user_ids, "value": value.double().cpu().numpy()}).select(
            "user_id",
            pl.lit(row).alias("row"),
            pl.lit(metric).alias("metric"),
            pl.lit(seed, pl.Int64).alias("seed"),
            pl.col("value").fill_nan(None),
        )
        for row, values in rows.items()
        for metric, value in values.items()
    ]
    keys = ("user_id", "row", "metric", "seed")
    return pl.concat(frames).drop_nulls().group_by(*keys, maintain_order=True).agg(pl.col("value").mean())


def _users(rows: Rows) -> Tensor:
    evaluations = [evaluation for seeds in rows.values() for evaluation in seeds.values()]
    first = evaluations[0]
    for other in evaluations:
        if not (torch.equal(first.users, other.users) and torch.equal(first.target, other.target)):
            raise ValueError(
                "rows are compared request by request. Pass evaluations of the same requests in the same order"
            )
    return first.users.cpu()


def _by_seed(values: Sequence[Mapping[str, Tensor]]) -> Values:
    return {metric: torch.stack([one[metric] for one in values]) for metric in values[0]}


def _beyond_accuracy(
    evaluations: Sequence[Evaluation], num_items: int, information: Tensor | None, vectors: Tensor | None
) -> dict[str, dict[str, float | None]]:
    """Return metrics other than accuracy: means over requests and seeds, without intervals."""
    means: list[dict[str, float]] = []
    for one in evaluations:
        lists = {} if information is None else one.novelty(information)
        lists = lists if vectors is None else lists | one.diversity(vectors)
        listed = {metric: float(value.mean()) for metric, value in lists.items()}
        means.append(one.reach(num_items) | one.ties() | listed)
    return {
        metric: {"value": float(np.mean([one[metric] for one in means])), "low": None, "high": None}
        for metric in means[0]
    }
