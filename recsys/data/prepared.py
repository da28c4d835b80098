"""Prepared data on disk: Parquet tables and one JSON file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import torch

from recsys.data.dataset import Dataset, assemble
from recsys.data.split import Splits


@dataclass(frozen=True)
class Prepared:
    """What preparation makes and keeps: everything a `Dataset` is assembled from.

    Args:
        name: what reports call the data.
        events: `user`, `item`, and `timestamp` (seconds) where times are known; by user, oldest first.
        items: one row an item.
        users: one row a user.
        splits: which events train, which are asked for.
        repeats: whether a user may have an item again.
        fingerprint: of the source and all options.
        summary: counts of what was found, dropped and kept.
    """

    name: str
    events: pl.DataFrame
    items: pl.DataFrame
    users: pl.DataFrame
    splits: Splits
    repeats: bool
    fingerprint: str
    summary: dict[str, float]

    def dataset(self) -> Dataset:
        """The data set in memory."""
        return assemble(
            self.events,
            self.splits,
            name=self.name,
            items=self.items,
            users=self.users,
            repeats=self.repeats,
            fingerprint=self.fingerprint,
            summary=self.summary,
        )

    def save(self, folder: Path) -> None:
        """Write into an empty folder."""
        self.events.write_parquet(folder / "events.parquet")
        self.items.write_parquet(folder / "items.parquet")
        train = pl.Series("train_events", self.splits.train_lengths.numpy())
        self.users.with_columns(train).write_parquet(folder / "users.parquet")
        requests = [
            pl.DataFrame({"event": index.numpy()}).select(pl.lit(part).alias("part"), "event")
            for part, index in (("validation", self.splits.validation), ("test", self.splits.test))
        ]
        pl.concat(requests).write_parquet(folder / "requests.parquet")
        facts = {
            "name": self.name,
            "repeats": self.repeats,
            "fingerprint": self.fingerprint,
            "summary": self.summary,
        }
        (folder / "dataset.json").write_text(json.dumps(facts, indent=2))

    @classmethod
    def load(cls, folder: Path) -> Prepared:
        """Read what `save` wrote."""
        facts = json.loads((folder / "dataset.json").read_text())
        users = pl.read_parquet(folder / "users.parquet")
        requests = pl.read_parquet(folder / "requests.parquet")
        validation, test = (
            torch.from_numpy(requests.filter(pl.col("part") == part).get_column("event").to_numpy().copy())
            for part in ("validation", "test")
        )
        train = torch.from_numpy(users.get_column("train_events").to_numpy().copy())
        return cls(
            events=pl.read_parquet(folder / "events.parquet"),
            items=pl.read_parquet(folder / "items.parquet"),
            users=users.drop("train_events"),
            splits=Splits(train, validation, test),
            **facts,
        )
