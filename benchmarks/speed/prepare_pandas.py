"""The preparation benchmark's side of pandas: the same work as one would write it by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from child import report


def work(folder: Path) -> tuple[int, int, int]:
    """Events, users and items kept."""
    events = pd.read_parquet(folder / "interactions.parquet")
    events = events.sort_values("timestamp", kind="stable").drop_duplicates(["user_id", "item_id"])
    while True:
        users = events.groupby("user_id")["item_id"].transform("size")
        items = events.groupby("item_id")["user_id"].transform("size")
        keep = (users >= 5) & (items >= 5)
        if keep.all():
            break
        events = events[keep]
    events["user"], user_ids = pd.factorize(events["user_id"], sort=True)
    events["item"], item_ids = pd.factorize(events["item_id"], sort=True)
    events = events.sort_values(["user", "timestamp"], kind="stable")
    events[["user", "item", "timestamp"]].to_parquet(folder / "pandas.parquet")
    sequences = events.groupby("user")["item"].agg(list)
    parts = [(row[:-2], row[-2], row[-1]) for row in sequences if len(row) >= 3]
    assert len(parts) == len(user_ids)
    return len(events), len(user_ids), len(item_ids)


report(work)
