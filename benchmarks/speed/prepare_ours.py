"""The preparation benchmark's side of recsys: what `recsys prepare` does, from checks to the written data set."""

from __future__ import annotations

import tempfile
from pathlib import Path

from child import report
from recsys.data.datasets.prepare import prepare
from recsys.data.datasets.split import LeaveOneOut
from recsys.data.sources.parquet import ParquetTables


def work(folder: Path) -> tuple[int, int, int]:
    """Events, users and items kept."""
    with tempfile.TemporaryDirectory(dir=folder) as root:
        dataset = prepare(ParquetTables(folder), LeaveOneOut(), k_core=5, repeats=False, root=root)
    return dataset.complete.history.values.numel(), dataset.num_users, dataset.num_items


report(work)
