"""Raw interactions to a prepared data set against RecBole and pandas, each run in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import polars as pl

from harness import Result, Timing, alternate, compare

HERE = Path(__file__).parent
CASES = (("RecBole", 1_000_000, 20.0), ("pandas", 2_000_000, 5.0))
THREADS = "2"
RETURN_AT_ONCE = {
    "_RJEM_MALLOC_CONF": "dirty_decay_ms:0,muzzy_decay_ms:0",  # polars
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # pyarrow
    "MALLOC_MMAP_THRESHOLD_": "65536",  # numpy, torch and the rest, through glibc
    "MALLOC_TRIM_THRESHOLD_": "0",
}
"""Environment in which allocators return freed pages, which they otherwise keep for later, by the clock or for good."""


def run(rounds: int) -> list[Result]:
    """Read, drop duplicates, 5-core to the fixed point, number, sort, leave one out.

    Memory is what is in use at most, over what the imports take: of one more run, whose time does not count.
    """
    with tempfile.TemporaryDirectory() as folder:
        return [against(peer, rows, goal, rounds, Path(folder) / str(rows)) for peer, rows, goal in CASES]


def against(peer: str, rows: int, goal: float, rounds: int, folder: Path) -> Result:
    """One peer on a log of so many rows; both sides must keep as many events, users and items."""
    write_log(rows, folder)

    def child(name: str) -> Callable[[], Timing]:
        def call() -> Timing:
            answer = in_process(name, folder)
            return Timing(answer["wall"], answer["cpu"])

        return call

    sides = {"ours": child("ours"), peer: child(peer.lower())}
    timings = alternate(sides, rounds, measure=lambda call: call(), warm=False)
    ours, theirs = (in_process(name, folder, RETURN_AT_ONCE) for name in ("ours", peer.lower()))
    if ours["kept"] != theirs["kept"]:
        raise AssertionError(f"events, users, items: ours {ours['kept']}, {peer} {theirs['kept']}")
    events, users, items = ours["kept"]
    return compare(
        timings,
        peer,
        benchmark="preparation",
        case=f"{rows:,} rows, {peer}",
        goal=goal,
        clock="wall",
        checked=f"memory in use {ours['peak']:.0f} and {theirs['peak']:.0f} MB at most;"
        f" both keep {events:,} events, {users:,} users, {items:,} items",
    )


def in_process(name: str, folder: Path, allocators: Mapping[str, str] | None = None) -> dict:
    """What `prepare_<name>.py` prints as JSON on its last line."""
    environment = os.environ | {"POLARS_MAX_THREADS": THREADS, "OMP_NUM_THREADS": THREADS} | dict(allocators or {})
    command = [sys.executable, str(HERE / f"prepare_{name}.py"), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        raise RuntimeError(f"prepare_{name}.py failed:\n{done.stderr[-2000:]}")
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
