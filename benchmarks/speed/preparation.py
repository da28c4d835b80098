"""Raw interactions to a prepared data set against RecBole and pandas, each run in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from harness import Result, Timing, alternate, compare

HERE = Path(__file__).parent
CASES = (("RecBole", 1_000_000, 20.0), ("pandas", 2_000_000, 5.0))
THREADS = "2"


def run(rounds: int) -> list[Result]:
    """Read, drop duplicates, 5-core to the fixed point, number, sort, leave one out; memory over what imports take."""
    with tempfile.TemporaryDirectory() as folder:
        return [against(peer, rows, goal, rounds, Path(folder) / str(rows)) for peer, rows, goal in CASES]


def against(peer: str, rows: int, goal: float, rounds: int, folder: Path) -> Result:
    """One peer on a log of so many rows; both sides must keep as many events, users and items."""
    write_log(rows, folder)
    kept: dict[str, tuple[int, ...]] = {}

    def child(name: str) -> Callable[[], Timing]:
        def call() -> Timing:
            answer = in_process(f"prepare_{name}.py", folder)
            kept[name] = tuple(answer["kept"])
            return Timing(answer["wall"], answer["cpu"], answer["peak"])

        return call

    sides = {"ours": child("ours"), peer: child(peer.lower())}
    timings = alternate(sides, rounds, measure=lambda call: call(), warm=False)
    if kept["ours"] != kept[peer.lower()]:
        raise AssertionError(f"events, users, items: ours {kept['ours']}, {peer} {kept[peer.lower()]}")
    events, users, items = kept["ours"]
    return compare(
        timings,
        peer,
        benchmark="preparation",
        case=f"{rows:,} rows, {peer}",
        goal=goal,
        clock="wall",
        checked=f"both keep {events:,} events, {users:,} users, {items:,} items",
    )


def in_process(script: str, folder: Path) -> dict:
    """What a script of this folder prints as JSON on its last line."""
    environment = os.environ | {"POLARS_MAX_THREADS": THREADS, "OMP_NUM_THREADS": THREADS}
    command = [sys.executable, str(HERE / script), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        raise RuntimeError(f"{script} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def write_log(rows: int, folder: Path) -> None:
    """A power-law log with duplicates, as `interactions.parquet` and in RecBole's layout."""
    rng = np.random.default_rng(0)
    users = (rows / 30 * rng.random(rows) ** 1.7).astype(np.int64)
    items = (rows / 100 * rng.random(rows) ** 2.5).astype(np.int64)
    names = rng.permutation(10 * rows)
    frame = pl.DataFrame(
        {
            "user_id": names[users],
            "item_id": names[items],
            "timestamp": 1_400_000_000 + rng.permutation(rows),
        }
    )
    (folder / "log").mkdir(parents=True)
    frame.write_parquet(folder / "interactions.parquet")
    header = ("user_id:token", "item_id:token", "timestamp:float")
    frame.rename(dict(zip(frame.columns, header, strict=True))).write_csv(folder / "log" / "log.inter", separator="\t")
