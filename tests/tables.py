"""Tables small enough for a whole run in a test."""

from __future__ import annotations

from pathlib import Path

import polars as pl

USERS, ITEMS, DAY = 36, 30, 86_400


def write_tables(folder: Path, users: int = USERS, items: int = ITEMS, events: int = 8) -> Path:
    """`interactions` and `items`: users walk a ring of items, one or two on at a time, some twice on one day."""
    rows = [
        (f"u{user}", f"i{(7 * user + step + step * user % 3) % items}", 1_000_000_000 + (user + step - step % 3) * DAY)
        for user in range(users)
        for step in range(events + user % 3)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    interactions = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    interactions.unique(["user_id", "item_id"], maintain_order=True).write_parquet(folder / "interactions.parquet")
    every = range(items)
    titles = {"item_id": [f"i{item}" for item in every], "title": [f"Tale {item} of {item // 6}" for item in every]}
    pl.DataFrame(titles).write_parquet(folder / "items.parquet")
    return folder
