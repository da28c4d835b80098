"""Stages that cost nothing, for runs in tests; each keeps count of its runs in `<run>/calls.txt`."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from recsys.errors import DataError
from recsys.runs.run_folder import RunFolder


@dataclass
class Reward:
    kind: Literal["rule", "ranking"] = "rule"
    weight: float = 1.0


@dataclass
class Write:
    """Leaves its text, after those of earlier stages."""

    name: str
    text: str = "text"
    after: tuple[str, ...] = ()
    reward: Reward | None = None
    seed: int = 0

    def run(self, run: RunFolder) -> None:
        with (run.path / "calls.txt").open("a") as calls:
            calls.write(f"{self.name}\n")
        read = [(run.stage(one) / "text.txt").read_text() for one in self.after]
        (run.stage(self.name) / "text.txt").write_text(" ".join([*read, self.text]))
        frame = pl.DataFrame({"step": [0], "metric": ["loss"], "value": [0.5], "more": [1]})
        frame.write_parquet(run.stage(self.name) / "history.parquet")
        print(f"{self.name} has written {self.text}")


@dataclass
class Evaluate(Write):
    """Leaves metrics."""

    name: str = "evaluate"
    results = ("metrics.json",)

    def run(self, run: RunFolder) -> None:
        super().run(run)
        run.metrics.write_text('{"sft": {"ndcg@10": {"value": 0.5, "low": 0.4, "high": 0.6}}}')


@dataclass
class Prepares(Write):
    """Leaves its text as the data of the run."""

    prepares = True


@dataclass
class Choosy(Write):
    """Works with one text alone, and notes when it is asked about it."""

    wants: str = ""

    def check_data(self, run: RunFolder) -> None:
        with (run.path / "asked.txt").open("a") as asked:
            asked.write(f"{self.name}\n")
        found = (run.stage("prepare") / "text.txt").read_text()
        if found != self.wants:
            raise DataError(f"{self.name} wants {self.wants}, found {found}")


@dataclass
class Interrupted:
    """Is interrupted as long as `trap` is there; leaves half of its work, and says what it found."""

    trap: str
    how: Literal["key", "lightning", "data", "inside", "term"] = "key"
    name: str = "sft"

    def run(self, run: RunFolder) -> None:
        half = run.stage(self.name) / "half.txt"
        weights = run.checkpoint(self.name) / "last.txt"
        found = f"{half.exists()} {weights.exists()}"
        half.write_text("half")
        weights.write_text("weights")
        if Path(self.trap).exists():
            self._stop()
        (run.stage(self.name) / "text.txt").write_text(found)

    def _stop(self) -> None:
        if self.how == "data":
            raise DataError("interactions.parquet: row 3: no item_id")
        if self.how == "term":
            os.kill(os.getpid(), signal.SIGTERM)
            raise AssertionError("it is heard at once")
        if self.how == "inside":
            raise ZeroDivisionError("inside")
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            if self.how == "key":
                raise
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            sys.exit(1)


@dataclass
class Lazy:
    """Makes its parts itself."""

    parts: dict
    name: str = "sft"
    found: list = field(default_factory=list)

    def run(self, run: RunFolder) -> None:
        (run.stage(self.name) / "text.txt").write_text(str(self.parts.first.weight))


class Refusing:
    def __init__(self, size: int) -> None:
        raise DataError(f"size: {size} is too small")

    def run(self, run: RunFolder) -> None: ...


def needs(first: int, *, second: str) -> None: ...
