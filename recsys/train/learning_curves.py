"""The curves of all trained arms of a run."""

from __future__ import annotations

import polars as pl

from recsys.report.chart import Series, line_chart, thinned
from recsys.report.markup import Markup
from recsys.train.arms import arm_folders
from recsys.train.run_folder import RunFolder


def arm_history(run: RunFolder) -> pl.DataFrame:
    """Rows of `step`, `metric`, `value` and `arm`, of all training stages."""
    return pl.concat(
        [
            pl.read_parquet(folder / "history.parquet").with_columns(arm=pl.lit(name))
            for name, folder in arm_folders(run)
        ]
    )


def arm_series(history: pl.DataFrame, metric: str) -> list[Series]:
    """A line an arm."""
    of_metric = history.filter(pl.col("metric") == metric)
    return [
        thinned(Series(str(arm), part["step"].to_list(), part["value"].to_list()))
        for (arm,), part in of_metric.group_by("arm", maintain_order=True)
    ]


def learning_curves(run: RunFolder, metric: str) -> Markup:
    """A chart of one metric over optimizer steps."""
    return line_chart(arm_series(arm_history(run), metric), metric, "optimizer steps")
